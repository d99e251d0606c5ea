import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { Book } from './book.ts'
import { writeCall, writeCounters, writeRows } from './flush.ts'
import type { createNotices } from './notices.ts'
import type { OutboxEntry } from './outbox-rows.ts'

const BATCH = 500
/** A Postgres too slow for a batch is given less at a time, down to so many rows. */
const LEAST_BATCH = 50
const FLUSH_AFTER_MS = 1000
const RETRY_FIRST_MS = 1000
const RETRY_LAST_MS = 60_000
/** Redis alone being away delays nothing that matters. */
const REDIS_RETRY_MS = 10_000
/** Beyond it the list of open calls is left to age: what is booked is recognised without it. */
const MAX_CLOSED = 20_000

type Parts = {
  orgId: string
  book: Book
  notices: ReturnType<typeof createNotices>
  deps: Pick<Deps, 'db' | 'redis' | 'log' | 'now'>
  /** Told how many calls Redis still lists as open, after all that ended were taken off its list. */
  onListed: (listed: number) => void
}

/** The way of booked calls to Postgres, and of what they changed to Redis. One flush runs at a time. */
export function createOutbox({ orgId, book, notices, deps, onListed }: Parts) {
  /** Calls that Redis still lists as open. */
  const closed = new Set<string>()
  let flushing: Promise<void> | undefined
  let batch = BATCH
  let failures = 0
  let notBeforeMs = 0
  let redisAway = false

  const close = (requestId: string): void => {
    if (closed.size < MAX_CLOSED) closed.add(requestId)
  }

  /** A batch, or row by row where Postgres refuses one of them: a bad row must not hold up the others. */
  const writeAll = async (entries: readonly OutboxEntry[]): Promise<void> => {
    const ids = entries.map((entry) => entry.requestId)
    const [first, ...others] = entries
    try {
      await (first && others.length === 0 ? writeCall(deps, orgId, first) : writeRows(deps, orgId, entries))
      book.markFlushed(ids, deps.now())
    } catch (cause) {
      if (cause instanceof DependencyError) throw cause
      if (first && others.length === 0) {
        book.setAside(first.requestId)
        deps.log.error('ledger_row_refused', { org_id: orgId, request_id: first.requestId, cause: String(cause) })
      } else for (const entry of entries) await writeAll([entry])
    }
  }

  const tellRedis = async (entries: readonly OutboxEntry[]): Promise<void> => {
    const closing = [...closed].slice(0, BATCH)
    try {
      const listed = await writeCounters(deps, orgId, { entries, closed: closing, shadows: book.takeShadows() })
      for (const requestId of closing) closed.delete(requestId)
      redisAway = false
      if (listed !== undefined && closed.size === 0) onListed(listed)
    } catch (cause) {
      redisAway = true
      deps.log.warn('ledger_counters_lost', { org_id: orgId, entries: entries.length, cause: String(cause) })
    }
  }

  /** True when there may be more. */
  const writeBatch = async (): Promise<boolean> => {
    const entries = book.unflushed(batch)
    // Booked here is as safe as written there: only what a crash may lose need be on Redis' list.
    for (const { held, requestId } of entries) if (held) close(requestId)
    try {
      if (entries.length > 0) await writeAll(entries)
    } catch (cause) {
      batch = Math.max(LEAST_BATCH, Math.ceil(entries.length / 2))
      await tellRedis([])
      throw cause
    }
    failures = 0
    await tellRedis(entries)
    return entries.length === batch
  }

  const writeAllBatches = async (): Promise<void> => {
    try {
      while (await writeBatch());
      await notices.write()
      batch = Math.min(BATCH, batch * 2)
      failures = 0
      notBeforeMs = 0
    } catch (error) {
      notBeforeMs = deps.now() + Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** failures)
      failures += 1
      deps.log.error('ledger_flush_failed', { org_id: orgId, failures, cause: String(error) })
    }
  }

  const alone = (work: () => Promise<void>): Promise<void> => {
    flushing = work().finally(() => {
      flushing = undefined
    })
    return flushing
  }

  return {
    /** The call ended: Redis need not remember it any longer. */
    close,

    /** Redis has not been told yet. */
    isClosing: (requestId: string): boolean => closed.has(requestId),
    closing: (): Iterable<string> => closed,

    /** The call holds (again). */
    reopen: (requestId: string): void => {
      closed.delete(requestId)
    },

    /** When the next flush is due; undefined when there is nothing to write. */
    dueMs(nowMs: number): number | undefined {
      if (book.unflushedCount() + notices.waiting() > 0) return Math.max(nowMs + FLUSH_AFTER_MS, notBeforeMs)
      return closed.size > 0 ? nowMs + (redisAway ? REDIS_RETRY_MS : FLUSH_AFTER_MS) : undefined
    },

    /** Postgres has failed, and it is not yet time to ask it again. */
    isHeldUp: (nowMs: number) => nowMs < notBeforeMs,

    /** Enough for a batch before its time, unless Postgres has just failed. */
    isFull: (nowMs: number) => book.unflushedCount() >= BATCH && nowMs >= notBeforeMs && !flushing,

    /** Writes batch after batch; what fails stays for the next time. Never throws. */
    async flush(): Promise<void> {
      if (!flushing) await alone(writeAllBatches)
    },

    /** Does this while nothing is written: what is waiting here is then not in Postgres, and the other way round. */
    async betweenFlushes(work: () => Promise<void>): Promise<void> {
      while (flushing) await flushing.catch(() => undefined)
      await alone(work)
    },
  }
}
