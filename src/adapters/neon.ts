import type { NeonHttpDatabase } from 'drizzle-orm/neon-http'
import { type Database, type Row, sqlStateOf } from '../core/db.ts'
import { DependencyError } from '../core/errors.ts'
import type { Outbound } from '../core/outbound.ts'

const QUERY_TIMEOUT_MS = 10_000

type Options = { databaseUrl: string; proxyUrl: string | undefined; outbound: Outbound }

/** Where the driver sends its statements: Neon's own host, or the bridge. */
export function databaseOrigin({ databaseUrl, proxyUrl }: Omit<Options, 'outbound'>): string {
  if (proxyUrl !== undefined) return new URL(proxyUrl).origin
  return `https://api.${new URL(databaseUrl).hostname.replace(/^[^.]+\./, '')}`
}

/**
 * Postgres over Neon's HTTP protocol. The driver is loaded by the first statement: a warm call makes none, and a cold
 * isolate should not pay for what it may never use.
 */
export function createDatabase(options: Options): Database {
  let connected: Connected | undefined
  const connect = async (): Promise<Connected> => {
    connected ??= await open(options)
    return connected
  }

  return {
    async query(statement) {
      const { db } = await connect()
      return failing(async () => (await db.execute<Row>(statement)).rows)
    },

    async atomically(orgId, build) {
      const { db, sql } = await connect()
      const setOrg = db.execute(sql`select set_config('app.org', ${orgId}, true)`)
      return failing(async () => {
        const [, ...results] = await db.batch([setOrg, ...build(db)])
        // The compiler cannot see that dropping the first statement's result leaves the caller's own.
        return results as never
      })
    },
  }
}

type Connected = { db: NeonHttpDatabase; sql: typeof import('drizzle-orm').sql }

async function open({ databaseUrl, proxyUrl, outbound }: Options): Promise<Connected> {
  const [{ neon, neonConfig }, { drizzle }, { sql }] = await Promise.all([
    import('@neondatabase/serverless'),
    import('drizzle-orm/neon-http'),
    import('drizzle-orm/sql'),
  ])
  if (proxyUrl !== undefined) neonConfig.fetchEndpoint = `${proxyUrl}/sql`
  neonConfig.fetchFunction = (url: string, init: { headers: Record<string, string>; body: string }) =>
    outbound({
      url,
      purpose: 'store',
      method: 'POST',
      headers: init.headers,
      body: init.body,
      headersTimeoutMs: QUERY_TIMEOUT_MS,
    })
  return { db: drizzle({ client: neon(databaseUrl) }), sql }
}

/** Postgres refusing a statement is a fault of ours and stays what it is; Postgres not answering is a dependency's. */
async function failing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    const error = withoutParameters(thrown)
    const code = sqlStateOf(error)
    // Classes 08, 53, 57 and 58: connection, resources, operator intervention, system. 28: the server does not know us.
    // 40: two transactions waited for each other and this one was undone, so that it may be tried again.
    if (code !== undefined && !/^(08|28|40|53|57|58)/.test(code)) throw error
    throw new DependencyError('postgres', error)
  }
}

/** The query builder's error quotes a statement's parameters, which belong into no log; what Postgres said is its cause. */
const withoutParameters = (error: unknown): unknown =>
  error instanceof Error && 'params' in error && error.cause !== undefined ? error.cause : error
