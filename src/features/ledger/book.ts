import type { BudgetRef, SettledCall, Settlement } from '../../core/ledger.ts'
import { createAccounts, type Spent } from './accounts.ts'
import { createCredits } from './credits.ts'
import { createDays } from './days.ts'
import { createHolds } from './holds.ts'
import { createOutboxRows } from './outbox-rows.ts'
import { settledCallOf } from './settled-call.ts'
import { createTables, type LedgerStorage } from './storage.ts'
import { createThresholds, type Passed } from './thresholds.ts'

export type Book = ReturnType<typeof createBook>

/**
 * The books of one organisation: holds in memory, settlements in storage, the outbox between them and Postgres.
 * Everything is synchronous, and the time is always passed in.
 */
export function createBook(storage: LedgerStorage, { graceMs }: { graceMs: number }) {
  createTables(storage)
  const accounts = createAccounts(storage, graceMs)
  const thresholds = createThresholds(storage)
  const days = createDays(storage)
  const credits = createCredits(accounts)
  let passed: Passed[] = []
  const rows = createOutboxRows(storage)
  let waiting = rows.countWaiting()
  /** No id that sorts behind this one is booked. Ids sort by their time, so hardly a new call is looked for in storage. */
  let newestBooked = rows.newest()

  const knows = (requestId: string): boolean => requestId <= newestBooked && rows.has(requestId)

  const holds = createHolds({ accounts, credits, graceMs, isBooked: knows })

  /** Whether a crash from here on would forget something that is held. */
  const isHolding = (): boolean => holds.openHolds() + credits.size() > 0

  const watch = (budget: BudgetRef, nowMs: number): void => {
    if (!accounts.isOpen(budget.id)) return
    const { settled } = accounts.totals(budget, nowMs)
    passed.push(...thresholds.passed(budget, settled, nowMs))
  }

  /** Also where the target that answered needs no budget: the call was admitted for another. */
  const isHeld = ({ request_id, drawn, budgets }: SettledCall): boolean =>
    holds.holdsFor(request_id) || drawn !== undefined || budgets.some(({ soft }) => !soft)

  /** The durable half of settlements; true for those that are new, in their order. */
  const write = (calls: readonly SettledCall[], nowMs: number): boolean[] =>
    storage.transaction(() => {
      const isNew = rows.add(calls, { isHeld, nowMs })
      const added = calls.filter((_call, at) => isNew[at])
      accounts.record(added, nowMs)
      days.record(added, nowMs)
      return isNew
    })

  /** The half in memory, once the transaction stands. */
  const apply = ({ request_id, parent_request_id, cost_nanos, budgets, drawn }: SettledCall, nowMs: number): void => {
    // What a call paid for on its way is covered by what the call holds.
    const holdsNow = holds.holdsFor(request_id) || (parent_request_id != null && holds.holdsFor(parent_request_id))
    const isOfThisLife = holdsNow || (drawn !== undefined && credits.giveBack(drawn))
    holds.release(request_id)
    if (request_id > newestBooked) newestBooked = request_id
    waiting += 1
    accounts.apply(budgets, cost_nanos, { isOfThisLife, nowMs })
    for (const budget of budgets) watch(budget, nowMs)
  }

  /**
   * Books each call once. False for one whose request id has been booked before. Where they cannot be written together
   * each is tried alone, so that none keeps the others from being booked.
   *
   * @throws what kept one of them from being booked, after all others were
   */
  const settle = (calls: readonly SettledCall[], nowMs: number): boolean[] => {
    const booked = writtenTogether(calls, nowMs)
    if (booked === undefined) return settleEach(calls, nowMs)
    for (const [at, call] of calls.entries()) {
      if (booked[at]) apply(call, nowMs)
      else holds.release(call.request_id)
    }
    return booked
  }

  const settleEach = (calls: readonly SettledCall[], nowMs: number): boolean[] => {
    const failures: unknown[] = []
    const booked = calls.map((call) => {
      try {
        return settle([call], nowMs)[0] === true
      } catch (cause) {
        failures.push(cause)
        return false
      }
    })
    if (failures.length > 0) throw failures[0]
    return booked
  }

  const writtenTogether = (calls: readonly SettledCall[], nowMs: number): boolean[] | undefined => {
    try {
      return write(calls, nowMs)
    } catch (cause) {
      if (calls.length === 1) throw cause
      return undefined
    }
  }

  return {
    /** Those that must be opened before they can be used. */
    unopened: (budgets: readonly BudgetRef[]): BudgetRef[] => budgets.filter(({ id }) => !accounts.isOpen(id)),
    nextOpenIds: accounts.nextOpenIds,
    drop: accounts.drop,

    /** From now on the budget is counted here; `spent` is everything that was booked before. */
    open(budget: BudgetRef, spent: Spent, nowMs: number): void {
      accounts.open(budget, spent, nowMs)
      watch(budget, nowMs)
    },

    /** Thresholds that were passed since the last time somebody asked. */
    takePassed(): Passed[] {
      const taken = passed
      passed = []
      return taken
    },

    unwritten: rows.unwritten,

    ...holds,
    credits,

    settle: (settlement: Settlement, nowMs: number): boolean => settle([settledCallOf(settlement)], nowMs)[0] ?? false,
    settleAll: settle,

    isHolding,
    knows,

    unflushed: rows.unflushed,
    unflushedCount: () => waiting,

    markFlushed(requestIds: readonly string[], nowMs: number): void {
      rows.markFlushed(requestIds, nowMs)
      waiting -= requestIds.length
    },

    setAside(requestId: string): void {
      rows.setAside(requestId)
      waiting -= 1
    },

    hauntedUntilMs: accounts.hauntedUntilMs,
    ghostOf: accounts.ghostOf,
    forgetGhosts: accounts.forgetGhosts,

    /** Marks are for those who hold or are missing: without any, a crash forgets nothing. */
    clearMarks(): void {
      if (isHolding()) return
      if (accounts.hauntedUntilMs() === undefined) accounts.clearMarks()
      else accounts.lowerMarks()
    },

    totals: accounts.totals,
    settledOn: days.settledOn,
  }
}
