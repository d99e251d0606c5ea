import { neon, neonConfig, Pool, type PoolConfig } from '@neondatabase/serverless'
import type { LocalPostgres } from '../../../scripts/local/postgres/server.ts'

/** A running local Postgres as the shared checks see it. */
export type Target = {
  postgres: LocalPostgres
  hasVector: boolean
}

/** Users that both kinds of Postgres know; `postgres` is the superuser. */
export const ROLES = { helix_owner: 'owner-secret', helix_app: 'app-secret', helix_system: 'system-secret' }

/** Points the driver, whose settings are global, at this server: exactly what the application does. */
export function useDriver({ proxyUrl }: LocalPostgres): void {
  neonConfig.fetchEndpoint = `${proxyUrl}/sql`
  neonConfig.wsProxy = () => `${new URL(proxyUrl).host}/v2`
  neonConfig.useSecureWebSocket = false
}

/** Makes the application's roles and tells whether vectors can be checked. */
export async function prepareTarget(postgres: LocalPostgres): Promise<Target> {
  useDriver(postgres)
  const sql = neon(postgres.urlFor('postgres'))
  for (const [role, password] of Object.entries(ROLES)) {
    await sql.query(`create role ${role} login password '${password}'`)
    await sql.query(`grant create, usage on schema public to ${role}`)
  }
  const available = await sql`select 1 from pg_available_extensions where name = 'vector'`
  const hasVector = available.length > 0
  if (hasVector) await sql`create extension vector`
  else console.info('Vector checks are skipped: this Postgres has no pgvector extension.')
  return { postgres, hasVector }
}

/** Runs work with a WebSocket pool of a user and ends the pool. */
export async function withPool<Result>(
  target: Target,
  work: (pool: Pool) => Promise<Result>,
  { user = 'postgres', ...config }: PoolConfig & { user?: string } = {},
): Promise<Result> {
  const pool = new Pool({ connectionString: target.postgres.urlFor(user), ...config })
  // A connection that the server ends while it is idle is not what these checks are about.
  pool.on('error', () => undefined)
  try {
    const result = await work(pool)
    await pool.end()
    return result
  } catch (error) {
    // Not awaited: a check that failed may still hold a connection, and the pool waits for it.
    void pool.end()
    throw error
  }
}

/** `POST /sql` by hand, for what the driver never sends. */
export function postSql(
  postgres: LocalPostgres,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${postgres.proxyUrl}/sql`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Neon-Connection-String': postgres.urlFor('postgres'), ...headers },
  })
}
