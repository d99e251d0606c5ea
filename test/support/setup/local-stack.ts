import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startRedis } from '../../../scripts/local/redis/server.ts'
import { openSnapshots, startCopy } from '../postgres-copies.ts'

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

const redisToken = 'token-of-the-tests'

/**
 * One Postgres and one Redis for every worker; each test makes an organisation of its own in them. Files of different
 * workers never meet, not even in what belongs to the installation: its jobs, prices, keys and first operator.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const snapshots = await openSnapshots()
  const stores = Array.from({ length: project.config.maxWorkers }, () => startStores(snapshots.folder))
  const [started] = await Promise.all([Promise.all(stores), buildWorkers()])
  project.provide(
    'storesByWorker',
    started.map(({ stores }) => stores),
  )
  return async () => {
    await Promise.all(started.map(({ close }) => close()))
    await snapshots.close()
  }
}

type Started = { stores: LocalStores; close(): Promise<unknown> }

async function startStores(snapshots: string): Promise<Started> {
  const [{ server, end }, redis] = await Promise.all([startCopy(snapshots), startRedis({ token: redisToken })])
  const stores: LocalStores = {
    databaseUrl: server.urlFor('helix_app'),
    ownerUrl: server.urlFor('helix_owner'),
    systemUrl: server.urlFor('helix_system'),
    proxyUrl: server.proxyUrl,
    redisUrl: redis.url,
    redisToken,
  }
  return { stores, close: () => Promise.all([end(), redis.close()]) }
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
