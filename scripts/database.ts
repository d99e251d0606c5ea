import { neonConfig, Pool } from '@neondatabase/serverless'

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

/** A variable that a script cannot work without. Ends the process with one sentence. */
export function requireVariable(name: string): string {
  const value = process.env[name]
  if (value) return value
  console.error(`${name} is not set. See .dev.vars.example for what it means.`)
  process.exit(1)
}
