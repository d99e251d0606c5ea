import { neonConfig, Pool } from '@neondatabase/serverless'

/** A session over Neon's WebSocket protocol: to Neon itself, or to a bridge when `proxyUrl` is given. */
export async function withDatabase<T>(
  { url, proxyUrl }: { url: string; proxyUrl: string | undefined },
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  if (proxyUrl !== undefined) {
    const { host, protocol } = new URL(proxyUrl)
    neonConfig.wsProxy = () => `${host}/v2`
    neonConfig.useSecureWebSocket = protocol === 'https:'
  }
  const pool = new Pool({ connectionString: url, max: 1 })
  // A lost idle connection is reported here and by the next query; without a listener it would end the process.
  pool.on('error', () => {})
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
