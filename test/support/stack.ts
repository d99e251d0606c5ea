import { readdirSync, readFileSync } from 'node:fs'
import type { Miniflare } from 'miniflare'
import { openPool } from '../../scripts/database.ts'
import { insert, type Seeded, type SeedOptions } from '../../scripts/seed.ts'
import { type FaultProxy, type Rewrite, startFaultProxy } from './fault-proxy.ts'
import { forgetTargets, storesHere } from './stores.ts'
import { startWorkers } from './workers.ts'

const pepper = 'the-quick-pepper-of-keys-in-these-tests'

export type StackOptions = {
  /** Added to the Workers' variables: vendors, nodes, tokens. */
  vars?: Readonly<Record<string, string>> | undefined
  persistTo?: string | undefined
  jobsScript?: string | undefined
  assets?: boolean | undefined
  /** Puts other words into what the gateway sends to Postgres. */
  rewriteSql?: Rewrite | undefined
}

/** The gateway as it ships, in workerd, over the local stores; with a proxy before each store that can play dead. */
export type Stack = {
  url: string
  /** The gateway's variables, with the stores themselves in place of the proxies before them. */
  vars: Readonly<Record<string, string>>
  redis: FaultProxy
  postgres: FaultProxy
  /** A fresh organisation with a key. */
  org(options?: Partial<SeedOptions>): Promise<Seeded>
  /** Rows as the cross-organisation role sees them. */
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** A request with a key. */
  call(apiKey: string, path: string, body?: unknown, init?: RequestInit): Promise<Response>
  /** What the clock does at that time (Unix milliseconds): every job that is due then has run. Half past unless said. */
  tick(dueMs: number, cron?: string): Promise<void>
  /** Ends workerd without warning. */
  kill(): void
  /** Starts it again on the same port and storage. */
  restart(): Promise<void>
  close(): Promise<void>
}

export async function startStack(given: StackOptions = {}): Promise<Stack> {
  const { persistTo, jobsScript, assets, rewriteSql } = given
  const stores = storesHere()
  await forgetTargets()
  const [redis, postgres] = await Promise.all([
    startFaultProxy(stores.redisUrl),
    startFaultProxy(stores.proxyUrl, rewriteSql),
  ])
  const pool = openPool({ url: stores.systemUrl, proxyUrl: stores.proxyUrl, sessions: 4 })
  const vars = {
    ENVIRONMENT: 'test',
    LOG_LEVEL: 'error',
    DATABASE_URL: stores.databaseUrl,
    NEON_PROXY_URL: stores.proxyUrl,
    UPSTASH_REDIS_REST_URL: stores.redisUrl,
    UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
    KEY_PEPPER: pepper,
    PASSWORD_PEPPER: 'a-wholly-different-pepper-for-passwords',
    KEK_CURRENT: Buffer.from('kek-of-the-tests-kek-of-the-test').toString('base64'),
    JWT_ISSUER: 'https://helix.test',
    REGISTRATION: 'open',
    ...given.vars,
  }
  const options = {
    vars: { ...vars, NEON_PROXY_URL: postgres.url, UPSTASH_REDIS_REST_URL: redis.url },
    jobsVars: { DATABASE_SYSTEM_URL: stores.systemUrl },
    persistTo,
    jobsScript,
    assets,
  }
  let workers: Miniflare = await startWorkers(options)
  const url = (await workers.ready).href.replace(/\/$/, '')

  return {
    url,
    vars,
    redis,
    postgres,
    org: (wanted = {}) => insert(pool, pepper, { name: 'A test', ...wanted }),
    query: async (text, values) => (await pool.query(text, values)).rows,
    call: (apiKey, path, body, init = {}) =>
      fetch(`${url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...init,
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...init.headers,
        },
      }),
    tick: async (dueMs, cron = '30 * * * *') => {
      const jobs = await workers.getWorker('helix-jobs')
      const { outcome } = await jobs.scheduled({ scheduledTime: new Date(dueMs), cron })
      if (outcome !== 'ok') throw new Error(`the jobs ended with ${outcome}`)
    },
    kill: () => {
      for (const pid of workerdChildren()) process.kill(pid, 'SIGKILL')
    },
    restart: async () => {
      await workers.dispose().catch(() => {})
      workers = await startWorkers({ ...options, port: Number(new URL(url).port) })
    },
    close: async () => {
      await workers.dispose()
      await Promise.all([redis.close(), postgres.close(), pool.end()])
    },
  }
}

/** workerd processes that this one started, by /proc. */
function workerdChildren(): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const [, command, , parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? []
      return command === 'workerd' && Number(parent) === process.pid ? [Number(name)] : []
    } catch {
      return []
    }
  })
}
