import { neonConfig, Pool } from '@neondatabase/serverless'
import { createDatabase, databaseOrigin } from '../src/adapters/neon.ts'
import { createOutbound } from '../src/adapters/outbound.ts'
import type { Database } from '../src/core/db.ts'

export type DatabaseAddress = { url: string; proxyUrl: string | undefined }

/** Sessions over Neon's WebSocket protocol: to Neon itself, or to a bridge when `proxyUrl` is given. */
export function openPool({ url, proxyUrl, sessions = 1 }: DatabaseAddress & { sessions?: number }): Pool {
  if (proxyUrl !== undefined) {
    const { host, protocol } = new URL(proxyUrl)
    neonConfig.wsProxy = () => `${host}/v2`
    neonConfig.useSecureWebSocket = protocol === 'https:'
  }
  const pool = new Pool({ connectionString: url, max: sessions })
  // A lost idle connection is reported here and by the next query; without a listener it would end the process.
  pool.on('error', () => {})
  return pool
}

/** Works in a session that ends with the work. */
export async function withDatabase<T>(address: DatabaseAddress, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = openPool(address)
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}

/** The same database as the program itself reaches it, by Neon's HTTP protocol. */
export function openHttpDatabase({ url: databaseUrl, proxyUrl }: DatabaseAddress): Database {
  const address = { databaseUrl, proxyUrl }
  const outbound = createOutbound({
    trustedOrigins: [databaseOrigin(address)],
    testOrigins: [],
    deniedHosts: [],
    dohUrl: '',
    fetch,
    now: Date.now,
  })
  return createDatabase({ ...address, outbound })
}

/** A variable that a script cannot work without. Ends the process with one sentence. */
export function requireVariable(name: string): string {
  const value = process.env[name]
  if (value) return value
  console.error(`${name} is not set. See .dev.vars.example for what it means.`)
  process.exit(1)
}
