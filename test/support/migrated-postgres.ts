import type { Pool } from '@neondatabase/serverless'
import { inject } from 'vitest'
import { openHttpDatabase, openPool } from '../../scripts/database.ts'
import { type LocalPostgres, startPostgres } from '../../scripts/local/postgres/server.ts'
import type { Database } from '../../src/core/db.ts'
import { migrateAll, postgresUsers, type Started, startCopy } from './postgres-copies.ts'
import { borrowPostgres } from './shared-postgres.ts'

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

/** A real server that the password's owner may do everything on. */
type Upstream = { url: string; password: string }

/** On the embedded Postgres, or on the server of that URL. */
export async function startMigratedPostgres(upstream?: Upstream): Promise<MigratedPostgres> {
  const { server, end } = upstream ? await migrateServer(upstream) : await startEmbedded()
  const systemUrl = server.urlFor('helix_system')
  const pool = openPool({ url: systemUrl, proxyUrl: server.proxyUrl })
  return {
    server,
    pool,
    database: (proxyUrl = server.proxyUrl) => openHttpDatabase({ url: server.urlFor('helix_app'), proxyUrl }),
    systemDatabase: () => openHttpDatabase({ url: systemUrl, proxyUrl: server.proxyUrl }),
    close: async () => {
      await pool.end()
      await end()
    },
  }
}

/** Files that share a process take turns on one Postgres, which has no rows and is as new for each of them. */
function startEmbedded(): Promise<Started> {
  const snapshots = inject('snapshotFolder')
  return inject('sharesProcess') ? borrowPostgres(snapshots) : startCopy(snapshots)
}

async function migrateServer({ url, password }: Upstream): Promise<Started> {
  const server = await startPostgres({ users: { ...postgresUsers, postgres: password }, upstream: url })
  await migrateAll(server)
  return { server, end: server.close }
}
