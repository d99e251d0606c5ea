import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const MINUTE_MS = 60_000

/** `cron` is one of the jobs Worker's, `dueMs` the minute for which it is due. */
export type Due = { cron: string; dueMs: number }
export type Ring = (due: Due, signal?: AbortSignal) => Promise<void>
export type ClockOptions = { crons: readonly string[]; ring: Ring; log: (line: string) => void }

/**
 * Does what the platform does with cron triggers: at the beginning of every minute (UTC) it rings for those that are due,
 * and says so in one line where that went wrong.
 * @returns ends it, and what it has rung for and waits for
 */
export function startClock({ crons, ring, log }: ClockOptions): () => Promise<void> {
  const ending = new AbortController()
  const ringing = new Set<Promise<void>>()
  let timer: NodeJS.Timeout
  const ringFor = (due: Due): void => {
    const rung = ring(due, ending.signal)
      .catch((error: unknown) => {
        if (!ending.signal.aborted) log(`What is done by the clock (${due.cron}) did not go well: ${error}`)
      })
      .finally(() => ringing.delete(rung))
    ringing.add(rung)
  }
  const wait = (fromMs: number): void => {
    const dueMs = (Math.floor(fromMs / MINUTE_MS) + 1) * MINUTE_MS
    timer = setTimeout(() => {
      // Timers may be a little early, and after a sleep of the machine very late: what was missed is not made up for.
      const nowMs = Math.max(dueMs, Date.now())
      for (const cron of crons) if (isDue(cron, nowMs)) ringFor({ cron, dueMs: nowMs - (nowMs % MINUTE_MS) })
      wait(nowMs)
    }, dueMs - Date.now())
    timer.unref()
  }
  wait(Date.now())
  return async () => {
    clearTimeout(timer)
    ending.abort()
    await Promise.all(ringing)
  }
}

/** Tells the Workers of a running stack that a cron is due. @throws Error where it did not end well */
export const ringAt =
  (origin: string): Ring =>
  async ({ cron, dueMs }, signal = AbortSignal.timeout(MINUTE_MS)) => {
    const query = new URLSearchParams({ cron, time: String(dueMs) })
    const response = await fetch(`${origin}/cdn-cgi/local/scheduled?${query}`, { signal })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
  }

/** The bounds of the five fields: minute, hour, day of the month, month, day of the week. */
const starts = [0, 0, 1, 1, 0]

/**
 * Whether a cron is due in this minute, UTC. Of cron's language it knows `*`, `*` with a step, and a number.
 * @throws Error for anything else
 */
export function isDue(cron: string, timeMs: number): boolean {
  const time = new Date(timeMs)
  const now = [time.getUTCMinutes(), time.getUTCHours(), time.getUTCDate(), time.getUTCMonth() + 1, time.getUTCDay()]
  const fields = cron.split(' ').map((field) => /^(?:\*(?:\/([1-9]\d*))?|(\d+))$/.exec(field))
  if (fields.length !== now.length || fields.includes(null)) throw new Error(`The cron "${cron}" is not understood.`)
  return now.every((value, at) => {
    const [, step = '1', number] = fields[at] ?? []
    return number === undefined ? (value - (starts[at] ?? 0)) % Number(step) === 0 : value === Number(number)
  })
}

/** When the jobs Worker has something to do, as its configuration says. */
export async function readCrons(): Promise<string[]> {
  const toml = await readFile(join(import.meta.dirname, '../../workers/jobs/wrangler.toml'), 'utf8')
  const [, list = ''] = /^crons = \[(.*)\]$/m.exec(toml) ?? []
  return [...list.matchAll(/"([^"]+)"/g)].map(([, cron = '']) => cron)
}
