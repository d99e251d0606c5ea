import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type LocalPostgres, startPostgres } from '../../scripts/local/postgres/server.ts'
import { migrateAsFarAsPossible } from './real-postgres.ts'

/** The roles of a Postgres in tests, and their passwords. */
export const postgresUsers = {
  postgres: 'admin-of-the-tests',
  helix_owner: 'owner-of-the-tests',
  helix_app: 'app-of-the-tests',
  helix_system: 'system-of-the-tests',
}

/** A Postgres with this release's schema, and how it ends. */
export type Started = { server: LocalPostgres; end(): Promise<void> }

/** Where the first that needs a migrated Postgres leaves it for all others; runs at the same time may share it. */
export async function openSnapshots(): Promise<{ folder: string; close(): Promise<void> }> {
  const shared = process.env.HELIX_TEST_SNAPSHOTS
  if (shared !== undefined) return { folder: shared, close: async () => {} }
  const folder = await mkdtemp(join(tmpdir(), 'helix-snapshot-'))
  return { folder, close: () => rm(folder, { recursive: true, force: true }) }
}

/** Starts on a copy of what the migrations made once: an empty Postgres takes seconds to make and to migrate. */
export async function startCopy(snapshots: string): Promise<Started> {
  const snapshot = await snapshotIn(snapshots, 'migrated')
  const folder = await mkdtemp(join(snapshots, 'copy-'))
  const dataDir = join(folder, 'data')
  await copyFolder(snapshot, dataDir)
  const server = await startPostgres({ users: postgresUsers, dataDir })
  return {
    server,
    end: async () => {
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Makes a folder of a Postgres that nobody has used. */
export async function copyUnused(snapshots: string, dataDir: string): Promise<void> {
  await copyFolder(await snapshotIn(snapshots, 'unused'), dataDir)
}

const LONGEST_MS = 90_000

type Snapshot = 'unused' | 'migrated'

/** Made by whoever comes first; the others wait for it, in whichever process they are. */
async function snapshotIn(snapshots: string, name: Snapshot): Promise<string> {
  const snapshot = join(snapshots, name)
  const isMine = await mkdir(join(snapshots, `begun-${name}`)).then(
    () => true,
    () => false,
  )
  if (isMine) await makeSnapshot(snapshots, name)
  const deadlineMs = Date.now() + LONGEST_MS
  while (!existsSync(snapshot) && Date.now() < deadlineMs) await delay(50)
  // Where the first one failed or is far too slow, this one does not wait for it.
  if (!existsSync(snapshot)) await makeSnapshot(snapshots, name)
  return snapshot
}

async function makeSnapshot(snapshots: string, name: Snapshot): Promise<void> {
  const dataDir = join(await mkdtemp(join(snapshots, 'first-')), 'data')
  if (name === 'migrated') await copyUnused(snapshots, dataDir)
  const server = await startPostgres({ users: postgresUsers, dataDir })
  if (name === 'migrated') await migrateAll(server)
  await server.close()
  // Where another one was faster after all, that one's stays, and this one's is as good.
  await rename(dataDir, join(snapshots, name)).catch(() => {})
}

/** More than a thousand small files, which the program for it copies in a fifth of the time. */
async function copyFolder(from: string, to: string): Promise<void> {
  if (process.platform === 'win32') await cp(from, to, { recursive: true })
  else await promisify(execFile)('cp', ['-r', from, to])
}

export async function migrateAll({ urlFor, proxyUrl }: LocalPostgres): Promise<void> {
  await migrateAsFarAsPossible({
    adminUrl: urlFor('postgres'),
    ownerUrl: urlFor('helix_owner'),
    appUrl: urlFor('helix_app'),
    systemUrl: urlFor('helix_system'),
    proxyUrl,
  })
}
