import type { Deps } from '../../core/context.ts'
import type { OrgLedger } from '../../core/ledger.ts'
import { createBook } from './book.ts'
import { layGhosts } from './ghosts.ts'
import { createOutbox } from './outbox.ts'
import type { LedgerStorage } from './storage.ts'
import { unknownSettlement } from './unknown.ts'

export { book, costOf, type Ending, errorCodeOf, NO_USAGE } from './booking.ts'
export { DURATION_EDGES } from './counters.ts'
export { metricsKey } from './flush.ts'
export type { LedgerStorage } from './storage.ts'

/** Where the last life's calls cannot be accounted for yet, because a store is away. */
const GHOST_RETRY_MS = 1000

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
  const outbox = createOutbox({ orgId, book, deps })

  const wakeBy = (atMs: number | undefined): void => {
    const current = alarm.currentMs()
    if (atMs !== undefined && (current === undefined || atMs < current)) alarm.set(atMs)
  }
  wakeBy(book.hauntedUntilMs())
  wakeBy(outbox.dueMs(deps.now()))

  const settleOverdue = (): void => {
    for (const call of book.overdue(deps.now())) {
      book.settle(unknownSettlement(call, deps.newId('led'), deps.now()), deps.now())
    }
  }

  /** False while the last life's calls are not accounted for; whatever is in the way, the alarm must go on. */
  const accountForGhosts = (): Promise<boolean> =>
    layGhosts({ orgId, book, deps, graceMs, close: outbox.close }).catch((cause: unknown) => {
      deps.log.warn('ledger_ghosts_not_laid', { org_id: orgId, cause: String(cause) })
      return false
    })

  const scheduleNext = (ghostsLaid: boolean): void => {
    const now = deps.now()
    const times = [book.nextOverdueMs(), outbox.dueMs(now)]
    if (!ghostsLaid) times.push(Math.max(now + GHOST_RETRY_MS, book.hauntedUntilMs() ?? 0))
    const next = Math.min(...times.filter((time) => time !== undefined))
    if (Number.isFinite(next)) alarm.set(next)
  }

  return {
    async hold(request) {
      const answer = book.hold(request, deps.now())
      if (!answer.ok) return answer
      outbox.reopen(request.facts.request_id)
      wakeBy(request.deadlineMs + graceMs)
      return answer
    },

    async extend(request) {
      return book.extend(request, deps.now())
    },

    async release(requestId) {
      book.release(requestId)
      outbox.close(requestId)
      wakeBy(outbox.dueMs(deps.now()))
    },

    async settle(settlement) {
      const booked = book.settle(settlement, deps.now())
      wakeBy(outbox.dueMs(deps.now()))
      if (outbox.isFull(deps.now())) background(outbox.flush())
      return booked
    },

    /** What the alarm runs: overdue calls, ghosts, the outbox, and the next alarm. */
    async wake() {
      settleOverdue()
      const ghostsLaid = await accountForGhosts()
      await outbox.flush()
      if (ghostsLaid) book.clearMarks()
      scheduleNext(ghostsLaid)
    },
  }
}
