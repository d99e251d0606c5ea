import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import * as z from 'zod'
import type { StoredMail } from './store.ts'

/** Links to sign in are as good as passwords for as long as they work. */
const OWNER_ONLY = 0o600

export type MailFile = {
  /** What it held when it was opened, oldest first. */
  mails: readonly StoredMail[]
  /** Resolves when the line is written. */
  append(mail: StoredMail): Promise<void>
  /** Resolves when nothing is being written. */
  finished(): Promise<void>
}

const Line = z.object({
  id: z.string(),
  receivedAtMs: z.number(),
  from: z.string(),
  to: z.array(z.string()),
  subject: z.string(),
  text: z.string(),
  html: z.string().optional(),
  links: z.array(z.string()),
})

/**
 * Opens a file of one mail a line and shortens it to its last `keep`.
 * @throws Error with one sentence when it cannot be read or written
 */
export async function openMailFile(path: string, keep: number): Promise<MailFile> {
  try {
    const mails = (await readLines(path)).slice(-keep)
    // Written under another name first: a crash leaves the old file or the new one. It also sets the mode anew.
    const draft = `${path}.draft`
    await writeFile(draft, mails.map(toLine).join(''), { mode: OWNER_ONLY })
    await rename(draft, path)
    let last: Promise<void> = Promise.resolve()
    return {
      mails,
      append(mail) {
        const write = () => appendFile(path, toLine(mail), { mode: OWNER_ONLY })
        last = last.then(write, write)
        return last
      },
      finished: () => last.catch(() => {}),
    }
  } catch (error) {
    throw new Error(`The mailbox cannot use ${path}: ${error instanceof Error ? error.message : String(error)}.`)
  }
}

const toLine = (mail: StoredMail): string => `${JSON.stringify(mail)}\n`

async function readLines(path: string): Promise<StoredMail[]> {
  return (await readIfThere(path)).split('\n').flatMap(parseLine)
}

/** A crash may leave half a line; what cannot be read is no mail any more. */
function parseLine(text: string): StoredMail[] {
  try {
    const { html, ...mail } = Line.parse(JSON.parse(text))
    return [{ ...mail, ...(html !== undefined && { html }) }]
  } catch {
    return []
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
