import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { takeLock } from '../local/postgres/folder-lock.ts'

/** The folder that keeps the state of the local stack; this process's own until `release`. */
export type StateFolder = {
  path: string
  secrets: LocalSecrets
  /** Keeps the key for the next start. */
  rememberKey(apiKey: string): Promise<void>
  release(): Promise<void>
}

const newSecret = () => randomBytes(24).toString('hex')
const newKek = () => randomBytes(32).toString('base64')

const Secrets = z.object({
  adminPassword: z.string().min(1),
  ownerPassword: z.string().min(1),
  appPassword: z.string().min(1),
  systemPassword: z.string().min(1),
  redisToken: z.string().min(1),
  keyPepper: z.string().min(32),
  // A folder of an earlier release lacks the secrets that came since.
  passwordPepper: z.string().min(32).default(newSecret),
  kek: z.string().length(44).default(newKek),
  apiKey: z.string().optional(),
})

/** Made once and kept, so that data and key of an earlier run still work. */
export type LocalSecrets = z.infer<typeof Secrets>

/** Everything that a run may leave in the folder; nothing else in it is ever touched. */
const OURS = [
  'postgres',
  'postgres.lock',
  'postgres.version.json',
  'redis.snapshot',
  'mailbox.jsonl',
  'secrets.json',
  'workers',
  'generated',
]

/** @throws Error with one sentence: not a folder, not writable, in use by another process, or its secrets are broken. */
export async function openStateFolder(path: string, { fresh }: { fresh: boolean }): Promise<StateFolder> {
  const lock = await lockFolder(path)
  try {
    if (fresh) await Promise.all(OURS.map((name) => rm(join(path, name), { recursive: true, force: true })))
    const file = join(path, 'secrets.json')
    const secrets = (await readSecrets(file)) ?? newSecrets()
    await writeSecrets(file, secrets)
    return {
      path,
      secrets,
      rememberKey: (apiKey) => writeSecrets(file, { ...secrets, apiKey }),
      release: lock.release,
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function lockFolder(path: string) {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    return await takeLock(join(path, 'dev.lock'), path, 'state of the local stack')
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    throw new Error(`${path} cannot hold the state of the local stack: ${error.message}. Choose a folder with --data.`)
  }
}

async function readSecrets(file: string): Promise<LocalSecrets | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Error(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}.`)
  }
  try {
    return Secrets.parse(JSON.parse(text))
  } catch {
    throw new Error(`${file} is damaged: restore it, or start over with npm run dev -- --fresh.`)
  }
}

function newSecrets(): LocalSecrets {
  return {
    adminPassword: newSecret(),
    ownerPassword: newSecret(),
    appPassword: newSecret(),
    systemPassword: newSecret(),
    redisToken: newSecret(),
    keyPepper: newSecret(),
    passwordPepper: newSecret(),
    kek: newKek(),
  }
}

/** Written under another name first: a crash leaves the old file or the new one, never half of one. */
async function writeSecrets(file: string, secrets: LocalSecrets): Promise<void> {
  const draft = `${file}.draft`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
  await chmod(draft, 0o600)
  await rename(draft, file)
}
