import type {
  BudgetRef,
  Drawn,
  ExtendAnswer,
  ExtendRequest,
  HoldAnswer,
  HoldRequest,
  SettledCall,
  Settlement,
} from '../../core/ledger.ts'
import { createAccounts, type Spent } from './accounts.ts'
import { createCredits } from './credits.ts'
import { createDays } from './days.ts'
import { createLeases, type Seatless } from './leases.ts'
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
  const holds = new Map<string, HoldRequest>()
  const leases = createLeases()
  const credits = createCredits(accounts)
  let passed: Passed[] = []
  const rows = createOutboxRows(storage)
  let waiting = rows.countWaiting()
  /** No id that sorts behind this one is booked. Ids sort by their time, so hardly a new call is looked for in storage. */
  let newestBooked = rows.newest()

  const release = (requestId: string): void => {
    const hold = holds.get(requestId)
    leases.giveBack(requestId)
    credits.ended(requestId)
    if (!hold) return
    holds.delete(requestId)
    accounts.unreserve(hold.budgets, hold.amountNanoUsd)
  }

  /** The call turned out to need fewer budgets than it holds in. */
  const narrow = (hold: HoldRequest, needed: readonly BudgetRef[]): void => {
    const isNeeded = ({ id }: BudgetRef) => needed.some((one) => one.id === id)
    accounts.unreserve(
      hold.budgets.filter((budget) => !isNeeded(budget)),
      hold.amountNanoUsd,
    )
    hold.budgets = hold.budgets.filter((budget) => budget.soft || isNeeded(budget))
  }

  /**
   * The call holds more in the budgets in which it holds, and the whole of it in those that are new to it: it gives back
   * as much in each of them.
   */
  const widen = (
    hold: HoldRequest,
    { budgets, amountNanoUsd }: Pick<ExtendRequest, 'budgets' | 'amountNanoUsd'>,
    nowMs: number,
  ): ExtendAnswer => {
    const at = { deadlineMs: hold.deadlineMs, nowMs }
    const wholeNanoUsd = hold.amountNanoUsd + amountNanoUsd
    const isHeld = ({ id }: BudgetRef) => hold.budgets.some((one) => one.id === id)
    const added = budgets.filter((budget) => !isHeld(budget))
    const taken = accounts.reserve(added, wholeNanoUsd, at)
    if (!taken.ok) return taken
    const answer = accounts.reserve(budgets.filter(isHeld), amountNanoUsd, at)
    if (!answer.ok) {
      accounts.unreserve(added, wholeNanoUsd)
      return answer
    }
    hold.amountNanoUsd = wholeNanoUsd
    hold.budgets = [...hold.budgets, ...added]
    return answer
  }

  const knows = (requestId: string): boolean => requestId <= newestBooked && rows.has(requestId)

  const watch = (budget: BudgetRef, nowMs: number): void => {
    if (!accounts.isOpen(budget.id)) return
    const { settled } = accounts.totals(budget, nowMs)
    passed.push(...thresholds.passed(budget, settled, nowMs))
  }

  /** Also where the target that answered needs no budget: the call was admitted for another. */
  const isHeld = ({ request_id, drawn, budgets }: SettledCall): boolean =>
    holds.has(request_id) || drawn !== undefined || budgets.some(({ soft }) => !soft)

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
    const holdsNow = holds.has(request_id) || (parent_request_id != null && holds.has(parent_request_id))
    const isOfThisLife = holdsNow || (drawn !== undefined && credits.giveBack(drawn))
    release(request_id)
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
      else release(call.request_id)
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

    /**
     * Asking again for what a request holds already changes nothing but its place. Asking for something else, as under
     * a newer policy, ends what it held.
     */
    hold(request: HoldRequest, nowMs: number): HoldAnswer | Seatless {
      const { facts, budgets, amountNanoUsd, deadlineMs, places } = request
      const known = holds.get(facts.request_id)
      if (known && isAlike(known, request)) return places ? leases.move(facts.request_id, places) : { ok: true }
      release(facts.request_id)
      const seat = leases.find(request)
      if (!seat.ok) return seat
      const answer = accounts.reserve(budgets, amountNanoUsd, { deadlineMs, nowMs })
      if (!answer.ok) return answer
      holds.set(facts.request_id, { ...request })
      leases.take(facts.request_id, seat)
      return { ...answer, ...seat.told }
    },

    /** The call holds nothing but its place among those of its caller, until there is one for it at a target. */
    enlist({ facts, concurrency = [] }: HoldRequest): void {
      release(facts.request_id)
      leases.enlist(facts.request_id, concurrency)
    },

    /** Holds for a call that was enlisted; undefined while every place is taken. */
    seat(request: HoldRequest, nowMs: number): HoldAnswer | undefined {
      const { facts, budgets, amountNanoUsd, deadlineMs, places = [] } = request
      const { ok, ...told } = leases.move(facts.request_id, places)
      if (!ok) return undefined
      const answer = accounts.reserve(budgets, amountNanoUsd, { deadlineMs, nowMs })
      if (!answer.ok) {
        leases.giveBack(facts.request_id)
        return answer
      }
      holds.set(facts.request_id, { ...request })
      return { ...answer, ...told }
    },

    extend({ requestId, budgets, amountNanoUsd }: ExtendRequest, nowMs: number): ExtendAnswer {
      const hold = holds.get(requestId)
      const [first] = budgets
      // Neither a call of this life nor of the last: it is overdue and booked, and gets no more money.
      if (!hold && first && !accounts.isHaunted(budgets, nowMs)) {
        return { ok: false, budgetId: first.id, remainingNanoUsd: 0 }
      }
      if (hold) {
        narrow(hold, budgets)
        return widen(hold, { budgets, amountNanoUsd }, nowMs)
      }
      const answer = accounts.reserve(budgets, amountNanoUsd, { deadlineMs: nowMs, nowMs })
      if (answer.ok) accounts.leaveToGhost(budgets, amountNanoUsd)
      return answer
    },

    /** `drawn` is what the call holds as a part of a credit, unless it has come to hold by itself. */
    release(requestId: string, drawn?: Drawn): void {
      if (drawn && !holds.has(requestId) && !knows(requestId)) credits.giveBack(drawn)
      release(requestId)
    },

    /** Has a call hold by itself what it drew on a credit. False where it has ended, or the credit has. */
    adopt(call: HoldRequest): boolean {
      const { facts, creditId, amountNanoUsd } = call
      const id = facts.request_id
      if (holds.has(id)) return true
      if (creditId === undefined || credits.hasEnded(id) || knows(id)) return false
      const isTaken = credits.handOver({ creditId, nanoUsd: amountNanoUsd })
      if (isTaken) holds.set(id, { ...call })
      return isTaken
    },

    /**
     * The same for what was drawn on a credit of the last life, which counts as held until its calls are accounted for.
     * False where they are.
     */
    adoptLost(call: HoldRequest, nowMs: number): boolean {
      const { facts, budgets, amountNanoUsd, deadlineMs } = call
      if (!accounts.isHaunted(budgets, nowMs)) return false
      accounts.takeFromGhost(budgets, amountNanoUsd, { deadlineMs, nowMs })
      holds.set(facts.request_id, { ...call })
      return true
    },

    credits,

    settle: (settlement: Settlement, nowMs: number): boolean => settle([settledCallOf(settlement)], nowMs)[0] ?? false,
    settleAll: settle,

    /** Calls that nobody will settle any more: their deadline and the grace after it have passed. */
    overdue: (nowMs: number): HoldRequest[] => [...holds.values()].filter((hold) => hold.deadlineMs + graceMs <= nowMs),

    /** When the first open hold becomes overdue. */
    nextOverdueMs(): number | undefined {
      let next: number | undefined
      for (const hold of holds.values()) next = Math.min(next ?? Number.POSITIVE_INFINITY, hold.deadlineMs + graceMs)
      return next
    },

    openHolds: () => holds.size,
    /** Whether a crash from here on would forget something that is held. */
    isHolding: () => holds.size + credits.size() > 0,
    takeShadows: leases.takeShadows,
    /** Calls that hold more than a place among those under way. */
    moneyHolds: () => [...holds.values()].filter(({ budgets }) => budgets.some(({ soft }) => !soft)).length,
    holdsFor: (requestId: string) => holds.has(requestId),
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
      if (holds.size + credits.size() > 0) return
      if (accounts.hauntedUntilMs() === undefined) accounts.clearMarks()
      else accounts.lowerMarks()
    },

    totals: accounts.totals,
    settledOn: days.settledOn,
  }
}

const isAlike = (known: HoldRequest, { budgets, amountNanoUsd }: HoldRequest): boolean =>
  known.amountNanoUsd === amountNanoUsd &&
  known.budgets.length === budgets.length &&
  known.budgets.every(({ id }, at) => budgets[at]?.id === id)
