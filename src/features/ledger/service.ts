import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { BudgetRef, HoldAnswer, HoldRequest, LedgerBooks } from '../../core/ledger.ts'
import { createBook } from './book.ts'
import { layGhosts } from './ghosts.ts'
import { createLine } from './line.ts'
import { createNotices } from './notices.ts'
import { openBudgets } from './opening.ts'
import { createOutbox } from './outbox.ts'
import { type Chain, createRuns, readRuns } from './runs.ts'
import type { LedgerStorage } from './storage.ts'
import { createStrays } from './strays.ts'
import { unknownSettlement } from './unknown.ts'
import { createWithdrawn } from './withdrawn.ts'

export { book, costOf, type Ending, errorCodeOf, NO_USAGE } from './booking.ts'
export { DURATION_EDGES, label } from './counters.ts'
export { metricsKey } from './flush.ts'
export { bookAttempt, bookPanel, type PartOfCall } from './panel-booking.ts'
export type { LedgerStorage } from './storage.ts'
export { holdRequestOf, settledCallsOf } from './wire.ts'

/** Where the last life's calls cannot be accounted for yet, because a store is away. */
const GHOST_RETRY_MS = 1000

/**
 * An object that nobody asks anything for ten seconds loses its memory, and with it what a long call holds and its place
 * among those under way. So while calls are open it is woken more often than that.
 */
const STAY_AWAKE_MS = 4000

/** Of a call that names no run. */
const NO_RUN: Chain = { budgets: [], isOver: false }

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
export function createOrgLedger(parts: Parts): LedgerBooks & { wake(): Promise<void> } {
  const { orgId, storage, alarm, deps, graceMs, background } = parts
  const book = createBook(storage, { graceMs })
  const notices = createNotices({ orgId, book, storage, deps })
  const outbox = createOutbox({ orgId, book, notices, deps, onListed: (listed) => strays.learn(listed) })
  const withdrawn = createWithdrawn(deps.now)
  /** Those may hold again, but only by themselves. */
  const released = createWithdrawn(deps.now)
  const isWithdrawn = (requestId: string) => withdrawn.has(requestId) || released.has(requestId)
  const strays = createStrays({ orgId, book, deps, graceMs, outbox, isWithdrawn })
  const line = createLine({ book, now: deps.now })
  /** One opening at a time: a budget that another call opens meanwhile is open then. */
  let opening = Promise.resolve()
  /** What waits while Postgres does not answer shares the failure: each waiting for its own would take minutes. */
  let asked = 0
  let failed = { upTo: 0, cause: undefined as unknown }

  const open = (budgets: readonly BudgetRef[]): Promise<void> => {
    const ticket = ++asked
    const mine = opening.then(async () => {
      const closed = book.unopened(budgets)
      if (closed.length === 0) return
      if (ticket <= failed.upTo) throw failed.cause
      await outbox
        .betweenFlushes(() => openBudgets({ orgId, book, deps }, closed))
        .catch((cause: unknown) => {
          if (cause instanceof DependencyError) failed = { upTo: asked, cause }
          throw cause
        })
      notices.take()
      wakeBy(outbox.dueMs(deps.now()))
    })
    opening = mine.catch(() => undefined)
    return mine
  }

  /** Settled in without having been opened: soft budgets at their first call. */
  const toOpen = new Map<string, BudgetRef>()

  /** Holds that wait for a budget to be opened; their callers may have given them up by then. */
  const waitingHolds = new Map<string, HoldRequest>()

  const runs = createRuns(readRuns(deps, orgId), deps.now, () => outbox.isHeldUp(deps.now()))

  /** The run of a call with its budgets; undefined while there is something to learn or to open first. */
  const readyRun = ({ facts, budgets }: HoldRequest): Chain | 'none' | undefined => {
    const run = facts.run_id ? runs.chainOf(facts.run_id) : NO_RUN
    if (run === undefined || run === 'none') return run
    return book.unopened(hardOf([...budgets, ...run.budgets])).length > 0 ? undefined : run
  }

  const prepare = async (request: HoldRequest): Promise<Chain | 'none'> => {
    const { request_id, run_id } = request.facts
    waitingHolds.set(request_id, request)
    try {
      const run = run_id ? await runs.resolve(run_id) : NO_RUN
      if (run !== 'none') await open(hardOf([...request.budgets, ...run.budgets]))
      if (waitingHolds.get(request_id) !== request) throw new Error('the call was withdrawn before it held anything')
      return run
    } finally {
      if (waitingHolds.get(request_id) === request) waitingHolds.delete(request_id)
    }
  }

  /** What is known of a run is looked at again from time to time: a change that was told may have got lost. */
  const lookAgain = (runId: string): void => {
    if (outbox.isHeldUp(deps.now()) || !runs.isDue(runId)) return
    background(
      runs.learn(runId).catch((cause: unknown) => {
        deps.log.warn('run_not_read', { org_id: orgId, run_id: runId, cause: String(cause) })
      }),
    )
  }

  /** Once Postgres has just taken what there was, it will also tell. */
  const openWaiting = async (): Promise<void> => {
    if (toOpen.size === 0 || outbox.isHeldUp(deps.now())) return
    try {
      const budgets = [...toOpen.values()]
      await open(budgets)
      for (const { id } of budgets) toOpen.delete(id)
    } catch (cause) {
      deps.log.warn('budgets_not_opened', { org_id: orgId, cause: String(cause) })
    }
  }

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
    line.serve()
    notices.take()
  }

  /** A call that only Redis remembers, with the budgets of its run; undefined where that never was, nor the call. */
  const withRun = async (call: HoldRequest): Promise<HoldRequest | undefined> => {
    const run = call.facts.run_id === null ? NO_RUN : await runs.resolve(call.facts.run_id)
    return run === 'none' ? undefined : { ...call, budgets: [...call.budgets, ...run.budgets] }
  }

  /** Those that are not open are read anyway, when they are used. */
  const reopen = (budgets: readonly BudgetRef[]): Promise<void> => {
    const closed = new Set(book.unopened(budgets))
    const known = budgets.filter((budget) => !closed.has(budget))
    return outbox.betweenFlushes(() => openBudgets({ orgId, book, deps }, known))
  }

  /** False while the last life's calls are not accounted for; whatever is in the way, the alarm must go on. */
  const accountForGhosts = (): Promise<boolean> =>
    layGhosts({ orgId, book, deps, graceMs, outbox, withRun, reopen }).catch((cause: unknown) => {
      deps.log.warn('ledger_ghosts_not_laid', { org_id: orgId, cause: String(cause) })
      return false
    })

  /** Redis lists a call that is refused, and who admits it takes it off: they may not come to that. */
  const expectStray = ({ facts, budgets }: HoldRequest): void => {
    if (facts.run_id === null && hardOf(budgets).length === 0) return
    strays.suspect()
    wakeBy(strays.dueMs())
  }

  const scheduleNext = (ghostsLaid: boolean): void => {
    const now = deps.now()
    const times = [book.nextOverdueMs(), outbox.dueMs(now)]
    if (book.isHolding()) times.push(now + STAY_AWAKE_MS)
    if (!ghostsLaid) times.push(Math.max(now + GHOST_RETRY_MS, book.hauntedUntilMs() ?? 0))
    else times.push(strays.dueMs())
    const next = Math.min(...times.filter((time) => time !== undefined))
    if (Number.isFinite(next)) alarm.set(next)
  }

  /** The call holds: a crash must find it on Redis' list, and the object must not fall asleep over it. */
  const keepWatch = ({ facts, deadlineMs }: HoldRequest): void => {
    outbox.reopen(facts.request_id)
    wakeBy(Math.min(deadlineMs + graceMs, deps.now() + STAY_AWAKE_MS))
  }

  /** A call that holds by credit until now; undefined where that credit has ended without it. */
  const announced = (request: HoldRequest): HoldAnswer | undefined => {
    if (!book.adopt(request) && !book.adoptLost(request, deps.now())) return undefined
    keepWatch(request)
    return { ok: true }
  }

  return {
    async hold(request) {
      const { request_id, run_id: runId } = request.facts
      const run = readyRun(request) ?? (await prepare(request))
      if (runId && (run === 'none' || run.isOver)) {
        expectStray(request)
        return { ok: false, runId }
      }
      const runBudgets = run === 'none' ? [] : run.budgets
      if (withdrawn.has(request_id) || book.knows(request_id)) throw new Error('the call ended before it held anything')
      const known = request.creditId === undefined ? undefined : announced(request)
      if (known) return known
      const holding = line.hold({ ...request, budgets: [...request.budgets, ...runBudgets] })
      // Who moves elsewhere leaves a place behind.
      line.serve()
      const answer = await holding
      if (!answer.ok) {
        expectStray(request)
        return answer
      }
      keepWatch(request)
      const credit = request.wish && book.credits.grant(request, { name: deps.newId('crd'), nowMs: deps.now() })
      if (credit) return { ...answer, credit }
      if (!runId) return answer
      lookAgain(runId)
      return { ...answer, runBudgets }
    },

    async extend(request) {
      const { budgets } = request
      if (book.unopened(budgets).length > 0) await open(budgets)
      return book.extend(request, deps.now())
    },

    async release(requestId, isLast = false, drawn = undefined) {
      const kept = isLast ? withdrawn : released
      kept.add(requestId)
      waitingHolds.delete(requestId)
      line.withdraw(requestId)
      book.release(requestId, drawn)
      line.serve()
      outbox.close(requestId)
      wakeBy(outbox.dueMs(deps.now()))
    },

    async settle(calls) {
      for (const { request_id } of calls) {
        waitingHolds.delete(request_id)
        line.withdraw(request_id)
      }
      try {
        return book.settleAll(calls, deps.now())
      } finally {
        line.serve()
        notices.take()
        for (const { budgets } of calls) for (const budget of book.unopened(budgets)) toOpen.set(budget.id, budget)
        wakeBy(outbox.dueMs(deps.now()))
        if (outbox.isFull(deps.now())) background(outbox.flush())
      }
    },

    async spend(budgets) {
      if (book.unopened(budgets).length > 0) await open(budgets)
      return budgets.map((budget) => {
        const { settled, held, ghost } = book.totals(budget, deps.now())
        return { id: budget.id, settledNanoUsd: settled, heldNanoUsd: held + ghost }
      })
    },

    async settledOn(day) {
      return book.settledOn(day)
    },

    async forgetRun(runId) {
      runs.forget(runId)
    },

    /** What the alarm runs: overdue calls, ghosts, the outbox, and the next alarm. */
    async wake() {
      settleOverdue()
      const ghostsLaid = await accountForGhosts()
      notices.take()
      if (!outbox.isHeldUp(deps.now())) await outbox.flush()
      await openWaiting()
      if (ghostsLaid) await strays.look()
      // Behind the look, which ends credits: their marks would stay for as long as nobody calls.
      book.clearMarks()
      scheduleNext(ghostsLaid)
    },
  }
}

const hardOf = (budgets: readonly BudgetRef[]): BudgetRef[] => budgets.filter(({ soft }) => !soft)
