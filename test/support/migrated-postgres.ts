import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
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

const users = { postgres: 'admin', helix_owner: 'owner', helix_app: 'app', helix_system: 'system' }

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
  const server = await startPostgres({ users: { ...users, postgres: password }, upstream: url })
  await migrateAll(server)
  return { server, end: server.close }
}

/** A copy of what the migrations made once in this run: an empty Postgres takes seconds to make and to migrate. */
async function startCopy(snapshots: string): Promise<Started> {
  const snapshot = await snapshotIn(snapshots)
  const folder = await mkdtemp(join(snapshots, 'copy-'))
  const dataDir = join(folder, 'data')
  await copyFolder(snapshot, dataDir)
  const server = await startPostgres({ users, dataDir })
  return {
    server,
    end: async () => {
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const LONGEST_MS = 90_000

/** Made by whoever comes first; the others wait for it, in whichever process they are. */
async function snapshotIn(snapshots: string): Promise<string> {
  const snapshot = join(snapshots, 'migrated')
  const isMine = await mkdir(join(snapshots, 'begun')).then(
    () => true,
    () => false,
  )
  if (isMine) await makeSnapshot(snapshots, snapshot)
  const deadlineMs = Date.now() + LONGEST_MS
  while (!existsSync(snapshot) && Date.now() < deadlineMs) await delay(50)
  // Where the first one failed or is far too slow, this one does not wait for it.
  if (!existsSync(snapshot)) await makeSnapshot(snapshots, snapshot)
  return snapshot
}

async function makeSnapshot(snapshots: string, snapshot: string): Promise<void> {
  const dataDir = join(await mkdtemp(join(snapshots, 'first-')), 'data')
  const server = await startPostgres({ users, dataDir })
  await migrateAll(server)
  await server.close()
  // Where another one was faster after all, that one's stays, and this one's is as good.
  await rename(dataDir, snapshot).catch(() => {})
}

/** More than a thousand small files, which the program for it copies in a fifth of the time. */
async function copyFolder(from: string, to: string): Promise<void> {
  if (process.platform === 'win32') await cp(from, to, { recursive: true })
  else await promisify(execFile)('cp', ['-r', from, to])
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
