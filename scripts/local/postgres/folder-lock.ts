import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import * as z from 'zod'

export type FolderLock = { release(): Promise<void> }

const holderSchema = z.object({ pid: z.number().int().positive(), startedAt: z.string(), token: z.string() })
type Holder = z.infer<typeof holderSchema>

const run = promisify(execFile)
const MAX_ATTEMPTS = 20
const RETRY_DELAY_MS = 25

/**
 * Takes a lock file for a folder. A lock whose process is gone (or whose pid now belongs to a process that started
 * at another time) is replaced. `what` names in the message what the folder holds.
 * @throws Error naming the pid and the folder when a living process holds it.
 */
export async function takeLock(lockFile: string, folder: string, what = 'Postgres data'): Promise<FolderLock> {
  const self: Holder = { pid: process.pid, startedAt: await processStart(process.pid), token: randomUUID() }
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    if (await tryCreate(lockFile, self)) return { release: () => release(lockFile, self) }
    const holder = await readHolder(lockFile)
    if (holder && (await isAlive(holder))) throw new Error(inUse(holder, `${what} in ${folder}`))
    await removeStale(lockFile, holder)
  }
  throw new Error(`The lock ${lockFile} keeps changing hands: start only one process on ${folder}.`)
}

/** Creating under another name and linking makes the file appear with its content, never empty. */
async function tryCreate(lockFile: string, self: Holder): Promise<boolean> {
  const draft = `${lockFile}.${self.token}`
  await writeFile(draft, JSON.stringify(self))
  try {
    await link(draft, lockFile)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Removes what was read as stale, if it is still that. Between reading and removing another process may have replaced
 * the file, so both happen under a lock of their own; a process that died holding that one is replaced the same way.
 */
async function removeStale(lockFile: string, stale: Holder | undefined): Promise<void> {
  const turn = await takeLock(`${lockFile}.turn`, lockFile, 'stale lock').catch(() => undefined)
  if (!turn) return setTimeout(RETRY_DELAY_MS)
  const holder = await readHolder(lockFile)
  if (holder?.token === stale?.token) await rm(lockFile, { force: true })
  await turn.release()
}

async function release(lockFile: string, self: Holder): Promise<void> {
  const holder = await readHolder(lockFile)
  if (holder?.token === self.token) await rm(lockFile, { force: true })
}

async function readHolder(lockFile: string): Promise<Holder | undefined> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(lockFile, 'utf8')))
  } catch {
    return undefined
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM means that the process exists and belongs to someone else.
    if (!hasCode(error, 'EPERM')) return false
  }
  const startedAt = await processStart(holder.pid)
  return startedAt === '' || holder.startedAt === '' || startedAt === holder.startedAt
}

/** A text that tells two processes with the same pid apart; empty when the system does not say. */
async function processStart(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') return await linuxProcessStart(pid)
    if (process.platform === 'win32') return ''
    return (await run('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim()
  } catch {
    return ''
  }
}

/** Clock ticks since boot alone repeat after a reboot, so the boot's own id goes with them. */
async function linuxProcessStart(pid: number): Promise<string> {
  const [stat, bootId] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
  ])
  // The command name may hold spaces and brackets; the fields after its last bracket are numbered from 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const isZombie = fields[0] === 'Z'
  return isZombie ? 'ended' : `${bootId.trim()}:${fields[19] ?? ''}`
}

function inUse(holder: Holder, what: string): string {
  const isSelf = holder.pid === process.pid
  const who = `${isSelf ? 'this process' : 'another process'} (pid ${holder.pid})`
  return `The ${what} is in use by ${who}: stop it first, or choose another folder.`
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
