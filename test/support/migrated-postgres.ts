import type { Pool } from '@neondatabase/serverless'
import { openHttpDatabase, openPool } from '../../scripts/database.ts'
import { type LocalPostgres, startPostgres } from '../../scripts/local/postgres/server.ts'
import { migrate } from '../../scripts/migrate.ts'
import type { Database } from '../../src/core/db.ts'

/** A Postgres with this release's schema, for one file of tests. */
export type MigratedPostgres = {
  server: LocalPostgres
  /** As the role that crosses organisations. */
  pool: Pool
  /** What the gateway works with; by way of a proxy when one is named. */
  database(proxyUrl?: string): Database
  /** What jobs cross organisations with. */
  systemDatabase(): Database
  close(): Promise<void>
}

/** On the embedded Postgres, or on the server of that URL, which the password's owner may do everything on. */
export async function startMigratedPostgres(upstream?: { url: string; password: string }): Promise<MigratedPostgres> {
  const users = { helix_owner: 'owner', helix_app: 'app', helix_system: 'system' }
  const server = await startPostgres({
    users: { postgres: upstream?.password ?? 'admin', ...users },
    upstream: upstream?.url,
  })
  const systemUrl = server.urlFor('helix_system')
  await migrate({
    adminUrl: server.urlFor('postgres'),
    ownerUrl: server.urlFor('helix_owner'),
    appUrl: server.urlFor('helix_app'),
    systemUrl,
    proxyUrl: server.proxyUrl,
  })
  const pool = openPool({ url: systemUrl, proxyUrl: server.proxyUrl })
  return {
    server,
    pool,
    database: (proxyUrl = server.proxyUrl) => openHttpDatabase({ url: server.urlFor('helix_app'), proxyUrl }),
    systemDatabase: () => openHttpDatabase({ url: systemUrl, proxyUrl: server.proxyUrl }),
    close: async () => {
      await pool.end()
      await server.close()
    },
  }
}
