import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../../../scripts/local/postgres/server.ts'
import { startRedis } from '../../../scripts/local/redis/server.ts'
import { migrate } from '../../../scripts/migrate.ts'

export type LocalStores = {
  databaseUrl: string
  ownerUrl: string
  systemUrl: string
  proxyUrl: string
  redisUrl: string
  redisToken: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** As many as files may run at a time; see `storesHere`. */
    storesByWorker: LocalStores[]
  }
}

const users = {
  postgres: 'admin-of-the-tests',
  helix_owner: 'owner-of-the-tests',
  helix_app: 'app-of-the-tests',
  helix_system: 'system-of-the-tests',
}
const redisToken = 'token-of-the-tests'

/**
 * One Postgres and one Redis for every worker; each test makes an organisation of its own in them. Files of different
 * workers never meet, not even in what belongs to the installation: its jobs, prices, keys and first operator.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [started] = await Promise.all([startStoresFor(project.config.maxWorkers), buildWorkers()])
  project.provide(
    'storesByWorker',
    started.map(({ stores }) => stores),
  )
  return async () => {
    await Promise.all(started.map(({ close }) => close()))
  }
}

type Started = { stores: LocalStores; close(): Promise<unknown> }

/** One after the other: a transaction of a migration may not wait long for a program that is busy elsewhere. */
async function startStoresFor(workers: number): Promise<Started[]> {
  const started: Started[] = []
  while (started.length < workers) started.push(await startStores())
  return started
}

async function startStores(): Promise<Started> {
  const [postgres, redis] = await Promise.all([startPostgres({ users }), startRedis({ token: redisToken })])
  const stores: LocalStores = {
    databaseUrl: postgres.urlFor('helix_app'),
    ownerUrl: postgres.urlFor('helix_owner'),
    systemUrl: postgres.urlFor('helix_system'),
    proxyUrl: postgres.proxyUrl,
    redisUrl: redis.url,
    redisToken,
  }
  await migrate({
    adminUrl: postgres.urlFor('postgres'),
    ownerUrl: stores.ownerUrl,
    appUrl: stores.databaseUrl,
    systemUrl: stores.systemUrl,
    proxyUrl: postgres.proxyUrl,
  })
  return { stores, close: () => Promise.all([postgres.close(), redis.close()]) }
}

/** What the tests run is what a deployment would upload. */
function buildWorkers(): Promise<void> {
  const root = join(import.meta.dirname, '../../..')
  return new Promise((resolve, reject) => {
    const build = spawn('npm', ['run', '--silent', 'build'], {
      cwd: root,
      env: {
        ...process.env,
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      },
    })
    let output = ''
    build.stdout.on('data', (text) => {
      output += text
    })
    build.stderr.on('data', (text) => {
      output += text
    })
    build.on('error', reject)
    build.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`The build failed:\n${output}`))))
  })
}
