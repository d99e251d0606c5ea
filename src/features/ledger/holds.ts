import type { BudgetRef, Drawn, ExtendAnswer, ExtendRequest, HoldAnswer, HoldRequest } from '../../core/ledger.ts'
import type { Accounts } from './accounts.ts'
import type { Credits } from './credits.ts'
import { createLeases, type Seatless } from './leases.ts'

type Parts = {
  accounts: Accounts
  credits: Credits
  graceMs: number
  isBooked: (requestId: string) => boolean
}

/** Calls that hold: money, in memory under the marks of their budgets, and places among those under way. */
export function createHolds({ accounts, credits, graceMs, isBooked }: Parts) {
  const holds = new Map<string, HoldRequest>()
  const leases = createLeases()

  const end = (requestId: string): void => {
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

  return {
    /**
     * Asking again for what a request holds already changes nothing but its place. Asking for something else, as under
     * a newer policy, ends what it held.
     */
    hold(request: HoldRequest, nowMs: number): HoldAnswer | Seatless {
      const { facts, budgets, amountNanoUsd, deadlineMs, places } = request
      const known = holds.get(facts.request_id)
      if (known && isAlike(known, request)) return places ? leases.move(facts.request_id, places) : { ok: true }
      end(facts.request_id)
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
      end(facts.request_id)
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
      if (drawn && !holds.has(requestId) && !isBooked(requestId)) credits.giveBack(drawn)
      end(requestId)
    },

    /** Has a call hold by itself what it drew on a credit. False where it has ended, or the credit has. */
    adopt(call: HoldRequest): boolean {
      const { facts, creditId, amountNanoUsd } = call
      const id = facts.request_id
      if (holds.has(id)) return true
      if (creditId === undefined || credits.hasEnded(id) || isBooked(id)) return false
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

    /** Calls that nobody will settle any more: their deadline and the grace after it have passed. */
    overdue: (nowMs: number): HoldRequest[] => [...holds.values()].filter((hold) => hold.deadlineMs + graceMs <= nowMs),

    /** When the first open hold becomes overdue. */
    nextOverdueMs(): number | undefined {
      let next: number | undefined
      for (const hold of holds.values()) next = Math.min(next ?? Number.POSITIVE_INFINITY, hold.deadlineMs + graceMs)
      return next
    },

    openHolds: () => holds.size,
    /** Calls that hold more than a place among those under way. */
    moneyHolds: () => [...holds.values()].filter(({ budgets }) => budgets.some(({ soft }) => !soft)).length,
    holdsFor: (requestId: string) => holds.has(requestId),
    takeShadows: leases.takeShadows,
  }
}

const isAlike = (known: HoldRequest, { budgets, amountNanoUsd }: HoldRequest): boolean =>
  known.amountNanoUsd === amountNanoUsd &&
  known.budgets.length === budgets.length &&
  known.budgets.every(({ id }, at) => budgets[at]?.id === id)
