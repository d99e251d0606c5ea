import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { takeLock } from './folder-lock.ts'

/** A data folder that belongs to this process until `release`. */
export type DataFolder = {
  path: string
  /** Notes which Postgres wrote the data; call it once the data could be opened. */
  recordVersion(): Promise<void>
  release(): Promise<void>
}

const versionSchema = z.object({ postgres: z.number().int() })

/**
 * Makes sure that the folder can be used by this Postgres and by nobody else. Two files stand beside it:
 * `<folder>.lock` (who uses it) and `<folder>.version.json` (which Postgres major wrote it).
 * @throws Error with one clear sentence: in use, another Postgres major, or not a Postgres folder.
 */
export async function openDataFolder(folder: string, postgresMajor: number): Promise<DataFolder> {
  const path = resolve(folder)
  await mkdir(path, { recursive: true })
  const lock = await takeLock(`${path}.lock`, path)
  const versionFile = `${path}.version.json`
  try {
    await checkContent(path, versionFile, postgresMajor)
  } catch (error) {
    await lock.release()
    throw error
  }
  return {
    path,
    recordVersion: () => writeFile(versionFile, `${JSON.stringify({ postgres: postgresMajor })}\n`),
    release: lock.release,
  }
}

async function checkContent(path: string, versionFile: string, postgresMajor: number): Promise<void> {
  const entries = await readdir(path)
  if (entries.length === 0) return
  if (!entries.includes('PG_VERSION')) {
    throw new Error(`${path} is not empty and is not a Postgres data folder: choose another folder, or empty it.`)
  }
  const written = Number((await readFile(join(path, 'PG_VERSION'), 'utf8')).trim())
  const noted = await readNotedVersion(versionFile)
  const foreign = [written, noted ?? written].find((major) => major !== postgresMajor)
  if (foreign === undefined) return
  throw new Error(
    `The data in ${path} was written by Postgres ${foreign} and this version embeds Postgres ${postgresMajor}, ` +
      'which cannot read it: export it with the version that wrote it, or delete the folder to start empty.',
  )
}

async function readNotedVersion(versionFile: string): Promise<number | undefined> {
  try {
    return versionSchema.parse(JSON.parse(await readFile(versionFile, 'utf8'))).postgres
  } catch {
    // The note only adds to what Postgres writes into the folder itself, so a missing or torn one is no obstacle.
    return undefined
  }
}
