import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withDatabase } from '../../scripts/database.ts'
import { type DatabaseUrls, migrate } from '../../scripts/migrate.ts'

/** A real Postgres server on a temporary data folder. */
export type RealPostgres = {
  /** postgres://127.0.0.1:port/postgres, without a user. */
  url: string
  /** Password of the superuser `postgres`. */
  password: string
  stop(): Promise<void>
}

const run = promisify(execFile)
const DEBIAN_FOLDER = '/usr/lib/postgresql'
const PASSWORD = 'real-postgres'
const READY = 'database system is ready to accept connections'

/**
 * Starts the newest installed Postgres (or the one in the folder POSTGRES_BIN) on a free loopback port.
 * @returns undefined, with the reason on the console, when there is none that can run here.
 */
export async function startRealPostgres(): Promise<RealPostgres | undefined> {
  const binaries = await findBinaries()
  if (!binaries) return skip(`no server binaries in ${DEBIAN_FOLDER} and POSTGRES_BIN is not set`)
  const asPostgres = await commandPrefix()
  if (!asPostgres) return skip('Postgres refuses to run as root and there is no user "postgres" to run it as')
  const folder = await mkdtemp(join(tmpdir(), 'real-postgres-'))
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  await mkdir(data)
  await writeFile(passwordFile, PASSWORD)
  for (const path of [folder, data, passwordFile]) await chown(path, asPostgres.uid, asPostgres.gid)
  const init = ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8']
  const [initCommand = '', ...initArguments] = [...asPostgres.prefix, join(binaries, 'initdb'), ...init]
  await run(initCommand, [...initArguments, '--no-locale', '--no-sync'], { cwd: folder })
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', `port=${port}`]
  const flags = settings.flatMap((setting) => ['-c', setting])
  const [command = '', ...rest] = [...asPostgres.prefix, join(binaries, 'postgres'), '-D', data, ...flags]
  const server = spawn(command, rest, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  await untilReady(server)
  return {
    url: `postgres://127.0.0.1:${port}/postgres`,
    password: PASSWORD,
    async stop() {
      const exited = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGINT')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function skip(reason: string): undefined {
  console.info(`Checks on a real Postgres are skipped: ${reason}.`)
  return undefined
}

async function findBinaries(): Promise<string | undefined> {
  const chosen = process.env.POSTGRES_BIN
  if (chosen) return chosen
  if (!existsSync(DEBIAN_FOLDER)) return undefined
  const majors = (await readdir(DEBIAN_FOLDER)).map(Number).filter(Number.isInteger)
  const folders = majors.sort((a, b) => b - a).map((major) => join(DEBIAN_FOLDER, String(major), 'bin'))
  return folders.find((folder) => existsSync(join(folder, 'initdb')))
}

type CommandPrefix = { prefix: string[]; uid: number; gid: number }

async function commandPrefix(): Promise<CommandPrefix | undefined> {
  const uid = process.getuid?.() ?? -1
  if (uid !== 0) return { prefix: [], uid, gid: process.getgid?.() ?? -1 }
  try {
    const [user, group] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])])
    // The signal on the parent's death keeps a server from outliving tests that were ended.
    const prefix = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--pdeathsig=INT']
    return { prefix, uid: Number(user.stdout), gid: Number(group.stdout) }
  } catch {
    return undefined
  }
}

function untilReady(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = ''
    server.stderr?.on('data', (text) => {
      seen += String(text)
      if (seen.includes(READY)) resolve()
    })
    server.once('error', reject)
    server.once('exit', (code) => reject(new Error(`Postgres ended with ${code}: ${seen}`)))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Migrations that no server can run without pgvector. */
const NEED_PGVECTOR = ['vectors', 'vectors_rules']
const migrations = join(import.meta.dirname, '../../drizzle')

/**
 * Brings a database to this release's schema; on a server without pgvector all of it but what holds vectors, and says so.
 * @returns whether vectors can be held
 */
export async function migrateAsFarAsPossible(urls: DatabaseUrls & { adminUrl: string }): Promise<boolean> {
  const { adminUrl, proxyUrl } = urls
  const { rows } = await withDatabase({ url: adminUrl, proxyUrl }, (pool) =>
    pool.query("select from pg_available_extensions where name = 'vector'"),
  )
  if (rows.length > 0) {
    await migrate(urls)
    return true
  }
  console.info('Tables of vectors are left out: this Postgres has no pgvector.')
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
  try {
    await cp(migrations, folder, { recursive: true })
    const file = join(folder, 'meta/_journal.json')
    const journal: { entries: { tag: string }[] } = JSON.parse(await readFile(file, 'utf8'))
    const isPossible = ({ tag }: { tag: string }) => !NEED_PGVECTOR.includes(tag.slice(5))
    await writeFile(file, JSON.stringify({ ...journal, entries: journal.entries.filter(isPossible) }))
    await migrate(urls, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return false
}
