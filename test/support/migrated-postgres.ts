import { existsSync } from 'node:fs'
import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from '@neondatabase/serverless'
import { inject } from 'vitest'
import { openHttpDatabase, openPool } from '../../scripts/database.ts'
import { type LocalPostgres, startPostgres } from '../../scripts/local/postgres/server.ts'
import type { Database } from '../../src/core/db.ts'
import { migrateAsFarAsPossible } from './real-postgres.ts'

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

const passwords = { helix_owner: 'owner', helix_app: 'app', helix_system: 'system' }

/** On the embedded Postgres, or on the server of that URL. */
export async function startMigratedPostgres(upstream?: Upstream): Promise<MigratedPostgres> {
  const { server, end } = upstream ? await migrateServer(upstream) : await startCopy(inject('snapshotFolder'))
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

type Started = { server: LocalPostgres; end(): Promise<void> }

async function migrateServer({ url, password }: Upstream): Promise<Started> {
  const server = await startPostgres({ users: { postgres: password, ...passwords }, upstream: url })
  await migrateAll(server)
  return { server, end: server.close }
}

/** A copy of what the migrations made once in this run: an empty Postgres takes seconds to make and to migrate. */
async function startCopy(snapshots: string): Promise<Started> {
  const snapshot = join(snapshots, 'migrated')
  const folder = await mkdtemp(join(snapshots, 'copy-'))
  const dataDir = join(folder, 'data')
  const start = () => startPostgres({ users: { postgres: 'admin', ...passwords }, dataDir })
  if (!existsSync(snapshot)) {
    const first = await start()
    await migrateAll(first)
    await first.close()
    // Where another worker was faster, that one's stays, and this one's is as good.
    await rename(dataDir, snapshot).catch(() => {})
  }
  await cp(snapshot, dataDir, { recursive: true })
  const server = await start()
  return {
    server,
    end: async () => {
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function migrateAll({ urlFor, proxyUrl }: LocalPostgres): Promise<void> {
  await migrateAsFarAsPossible({
    adminUrl: urlFor('postgres'),
    ownerUrl: urlFor('helix_owner'),
    appUrl: urlFor('helix_app'),
    systemUrl: urlFor('helix_system'),
    proxyUrl,
  })
}
