import { createHash } from 'node:crypto'
import { type ClientConfig, DatabaseError, Pool, type PoolClient } from 'pg'
import type { Credentials } from './backend.ts'
import { PostgresFailure } from './wire.ts'

/** Driver connections for HTTP requests, kept per credentials. */
export type Pools = {
  /**
   * Runs work on a connection of these credentials. A connection that comes back inside a transaction, or after a
   * failure that is not an answer of Postgres, is thrown away.
   * @throws what connecting or the work throws; PostgresFailure 53300 when too many different credentials are in use.
   */
  use<Result>(credentials: Credentials, work: (client: PoolClient) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

export type PoolsOptions = {
  clientConfig: (credentials: Credentials) => ClientConfig
  maxPools: number
  maxClientsPerPool: number
  /** How long a request may wait for a connection. */
  waitTimeoutMs: number
}

type Entry = { pool: Pool; inUse: number; isVerified: boolean }

const IDLE_TIMEOUT_MS = 30_000

export function createPools(options: PoolsOptions): Pools {
  /** In order of use: the first entry is the one that was not used for longest. */
  const entries = new Map<string, Entry>()

  function entryFor(credentials: Credentials): [key: string, entry: Entry] {
    const key = createHash('sha256')
      .update(JSON.stringify([credentials.user, credentials.password]))
      .digest('hex')
    const entry = entries.get(key) ?? createEntry(credentials)
    entries.delete(key)
    entries.set(key, entry)
    return [key, entry]
  }

  function createEntry(credentials: Credentials): Entry {
    if (entries.size >= options.maxPools) dropOldestIdle()
    const pool = new Pool({
      ...options.clientConfig(credentials),
      max: options.maxClientsPerPool,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      connectionTimeoutMillis: options.waitTimeoutMs,
    })
    // The pool drops an idle connection that breaks; without a listener that would end the process.
    pool.on('error', () => undefined)
    return { pool, inUse: 0, isVerified: false }
  }

  function dropOldestIdle(): void {
    const idle = [...entries].find(([, entry]) => entry.inUse === 0)
    if (!idle) throw new PostgresFailure('53300', 'too many different users at the same time')
    entries.delete(idle[0])
    void idle[1].pool.end()
  }

  async function connect(key: string, entry: Entry): Promise<PoolClient> {
    try {
      const client = await entry.pool.connect()
      entry.isVerified = true
      return client
    } catch (error) {
      // Wrong credentials must not take a place among the ones that work.
      if (!entry.isVerified && entry.inUse === 1 && entries.delete(key)) void entry.pool.end()
      throw error
    }
  }

  async function workWith<Result>(client: PoolClient, work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    let isClean = false
    try {
      const result = await work(client)
      isClean = true
      return result
    } catch (error) {
      isClean = error instanceof DatabaseError && error.severity === 'ERROR'
      throw error
    } finally {
      client.release(!isClean || client.getTransactionStatus() !== 'I')
    }
  }

  return {
    async use(credentials, work) {
      const [key, entry] = entryFor(credentials)
      entry.inUse += 1
      try {
        return await workWith(await connect(key, entry), work)
      } finally {
        entry.inUse -= 1
      }
    },
    async close() {
      const pools = [...entries.values()]
      entries.clear()
      await Promise.all(pools.map((entry) => entry.pool.end()))
    },
  }
}
