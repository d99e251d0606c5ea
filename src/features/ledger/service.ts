import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { OrgLedger } from '../../core/ledger.ts'
import { redisKeys } from '../admission/service.ts'
import { createBook } from './book.ts'
import { writeCounters, writeRows } from './flush.ts'
import type { LedgerStorage } from './storage.ts'
import { readOpenCall, unknownSettlement } from './unknown.ts'

export { book, costOf, type Ending, errorCodeOf, NO_USAGE } from './booking.ts'
export { metricsKey } from './flush.ts'
export type { LedgerStorage } from './storage.ts'

const FLUSH_AFTER_MS = 1000
const FLUSH_BATCH = 500
const RETRY_FIRST_MS = 1000
const RETRY_LAST_MS = 60_000

/** The one alarm of the object. `set` moves it; the object is woken by it even after a crash. */
export type Alarm = { currentMs: () => number | undefined; set: (atMs: number) => void }

type Parts = {
  orgId: string
  storage: LedgerStorage
  alarm: Alarm
  deps: Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'>
  graceMs: number
  /** Work that the object finishes after it has answered. */
  background: (work: Promise<unknown>) => void
}

/**
 * The ledger of one organisation, as its Durable Object runs it. Whenever the outbox is not empty, a hold is open or a
 * crash has left a ghost, an alarm is set: nothing waits for traffic to be remembered.
 */
export function createOrgLedger(parts: Parts): OrgLedger & { wake(): Promise<void> } {
  const { orgId, storage, alarm, deps, graceMs, background } = parts
  const book = createBook(storage, { graceMs })
  let flushing = false
  let failures = 0

  const wakeBy = (atMs: number): void => {
    const current = alarm.currentMs()
    if (current === undefined || atMs < current) alarm.set(atMs)
  }
  const hauntedUntilMs = book.hauntedUntilMs()
  if (hauntedUntilMs !== undefined) wakeBy(hauntedUntilMs)

  /** Writes batch after batch; what fails stays in the outbox for the next alarm. */
  const flush = async (): Promise<void> => {
    if (flushing) return
    flushing = true
    try {
      for (let entries = book.unflushed(FLUSH_BATCH); entries.length > 0; entries = book.unflushed(FLUSH_BATCH)) {
        await writeRows(deps, orgId, entries)
        book.markFlushed(
          entries.map((entry) => entry.requestId),
          deps.now(),
        )
        await writeCounters(deps, orgId, entries).catch((cause) => {
          deps.log.warn('ledger_counters_lost', { org_id: orgId, entries: entries.length, cause: String(cause) })
        })
      }
      failures = 0
    } catch (error) {
      failures += 1
      deps.log.error('ledger_flush_failed', { org_id: orgId, failures, cause: String(error) })
    } finally {
      flushing = false
    }
  }

  const settleOverdue = (): void => {
    for (const call of book.overdue(deps.now())) {
      book.settle(unknownSettlement(call, deps.newId('led'), deps.now()), deps.now())
    }
  }

  /** After a crash: calls that only Redis remembers. False while some of them may still be alive or cannot be read. */
  const layGhosts = async (): Promise<boolean> => {
    const until = book.hauntedUntilMs()
    if (until === undefined) return true
    if (until > deps.now()) return false
    const [reply] = await deps.redis.pipeline([['HVALS', redisKeys.open(orgId)]])
    let waiting = false
    for (const text of Array.isArray(reply) ? reply : []) {
      const call = readOpenCall(String(text))
      if (!call || book.knows(call.facts.request_id) || book.holdsFor(call.facts.request_id)) continue
      if (call.deadlineMs + graceMs > deps.now()) waiting = true
      else book.settle(unknownSettlement(call, deps.newId('led'), deps.now()), deps.now())
    }
    return !waiting
  }

  const scheduleNext = (ghostsLaid: boolean): void => {
    const now = deps.now()
    const times = [book.nextOverdueMs()]
    if (book.unflushedCount() > 0) {
      times.push(now + (failures === 0 ? FLUSH_AFTER_MS : Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** failures)))
    }
    if (!ghostsLaid) times.push(Math.max(now + RETRY_FIRST_MS, book.hauntedUntilMs() ?? 0))
    const next = Math.min(...times.filter((time) => time !== undefined))
    if (Number.isFinite(next)) alarm.set(next)
  }

  return {
    async hold(request) {
      const answer = book.hold(request, deps.now())
      if (answer.ok) wakeBy(request.deadlineMs + graceMs)
      return answer
    },

    async extend(request) {
      return book.extend(request, deps.now())
    },

    async release(requestId) {
      book.release(requestId)
    },

    async settle(settlement) {
      const booked = book.settle(settlement, deps.now())
      wakeBy(deps.now() + FLUSH_AFTER_MS)
      if (book.unflushedCount() >= FLUSH_BATCH) background(flush())
      return booked
    },

    /** What the alarm runs: overdue calls, ghosts, the outbox, and the next alarm. */
    async wake() {
      settleOverdue()
      const ghostsLaid = await layGhosts().catch((error: unknown) => {
        if (!(error instanceof DependencyError)) throw error
        return false
      })
      await flush()
      if (ghostsLaid && book.openHolds() === 0) book.clearMarks()
      scheduleNext(ghostsLaid)
    },
  }
}
