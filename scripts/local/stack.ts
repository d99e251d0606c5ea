import { join } from 'node:path'
import { type LocalPostgres, startPostgres } from './postgres/server.ts'
import { startRedis } from './redis/server.ts'
import { type PostgresPlan, planPostgres, planRedis, type StackSecrets } from './stack-plan.ts'

/** Where the Workers and the scripts find their stores. */
export type Stores = {
  databaseUrl: string
  ownerUrl: string
  systemUrl: string
  /** May create roles; undefined when nobody named such a user. */
  adminUrl: string | undefined
  /** NEON_PROXY_URL; undefined for Neon itself. */
  proxyUrl: string | undefined
  redisUrl: string
  redisToken: string
  /** For people: what they are and where. */
  descriptions: { postgres: string; psql: string; redis: string }
  close(): Promise<void>
}

export type StackOptions = {
  /** The user's own: DATABASE_URL, REDIS_URL and their relatives decide what is started. */
  variables: Readonly<Record<string, string>>
  secrets: StackSecrets
  /** Keeps what the embedded stores hold. */
  folder: string
  /** Of the embedded Postgres, for psql; 0 takes a free one. */
  psqlPort: number
  log: (line: string) => void
}

/**
 * Starts what is not there already: the embedded Postgres and Redis, or bridges before real ones, or nothing for Neon
 * and Upstash.
 * @throws Error with one sentence
 */
export async function startStores(options: StackOptions): Promise<Stores> {
  const postgres = await startPostgresPart(planPostgres(options.variables, options.secrets), options)
  try {
    const redis = await startRedisPart(options)
    return {
      ...postgres.urls,
      redisUrl: redis.url,
      redisToken: redis.token,
      descriptions: { ...postgres.descriptions, redis: redis.description },
      close: async () => {
        await Promise.all([postgres.close(), redis.close()])
      },
    }
  } catch (error) {
    await postgres.close()
    throw error
  }
}

type PostgresUrls = Pick<Stores, 'databaseUrl' | 'ownerUrl' | 'systemUrl' | 'adminUrl' | 'proxyUrl'>
type PostgresPart = {
  urls: PostgresUrls
  descriptions: { postgres: string; psql: string }
  close(): Promise<void>
}

async function startPostgresPart(plan: PostgresPlan, options: StackOptions): Promise<PostgresPart> {
  if (plan.kind === 'remote') {
    const { urls, host } = plan
    return { urls, descriptions: { postgres: `${host}, directly`, psql: '' }, close: async () => {} }
  }
  const server = await startPostgres({
    users: plan.users,
    log: options.log,
    ...(plan.kind === 'server'
      ? { upstream: plan.upstream }
      : { dataDir: join(options.folder, 'postgres'), tcpPort: options.psqlPort }),
  })
  const urls = localUrls(server, plan)
  const where = plan.kind === 'server' ? `your server at ${plan.host}` : `PGlite in ${join(options.folder, 'postgres')}`
  return {
    urls,
    descriptions: { postgres: where, psql: `psql '${urls.adminUrl ?? urls.ownerUrl}'` },
    close: server.close,
  }
}

function localUrls(server: LocalPostgres, plan: Exclude<PostgresPlan, { kind: 'remote' }>): PostgresUrls {
  return {
    databaseUrl: server.urlFor(plan.names.app),
    ownerUrl: server.urlFor(plan.names.owner),
    systemUrl: server.urlFor(plan.names.system),
    adminUrl: plan.names.admin === undefined ? undefined : server.urlFor(plan.names.admin),
    proxyUrl: server.proxyUrl,
  }
}

type RedisPart = { url: string; token: string; description: string; close(): Promise<void> }

async function startRedisPart({ variables, secrets, folder, log }: StackOptions): Promise<RedisPart> {
  const plan = planRedis(variables)
  if (plan.kind === 'remote') {
    return { ...plan, description: `${new URL(plan.url).host}, directly`, close: async () => {} }
  }
  const snapshotFile = join(folder, 'redis.snapshot')
  const server = await startRedis({
    token: secrets.redisToken,
    log,
    ...(plan.kind === 'server' ? { upstream: plan.upstream } : { snapshotFile }),
  })
  const what = plan.kind === 'server' ? `your server at ${plan.host}` : `embedded, snapshot in ${snapshotFile}`
  return { url: server.url, token: server.token, description: `${what}; REST at ${server.url}`, close: server.close }
}
