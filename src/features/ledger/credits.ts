import {
  type BudgetRef,
  CREDIT_MS,
  type Credit,
  type Drawn,
  type HoldRequest,
  LISTED_WITHIN_MS,
} from '../../core/ledger.ts'
import type { Accounts } from './accounts.ts'

/** One isolate is left no more than this share of what its caller's budgets still have: near a limit nobody is. */
const SHARE = 1 / 100
/** All isolates together, with what their running calls drew, no more than this. */
const SHARE_OF_ALL = 1 / 10

/**
 * A credit is added to for so long, and then another begins: an isolate that is always busy would never end it, nor what
 * of it got lost on the way.
 */
const GROWS_MS = 30_000

type Left = { budgets: readonly BudgetRef[]; nanoUsd: number; sinceMs: number; dueMs: number }

export type Credits = ReturnType<typeof createCredits>

/**
 * What isolates were left to hold calls with: `nanoUsd` of each is held in its budgets, drawn or not. Who drew on it is
 * on Redis' list of open calls: when nobody draws any more that is read, and whoever is on it holds by itself then.
 */
export function createCredits(accounts: Pick<Accounts, 'reserve' | 'unreserve' | 'room' | 'isHaunted'>) {
  const credits = new Map<string, Left>()
  /** While the list is being read: those who have ended, or end meanwhile, may be on it all the same. */
  let endedMeanwhile: Set<string> | undefined

  const growing = (id: string | undefined, nowMs: number): { id: string; left: Left } | undefined => {
    const left = id === undefined ? undefined : credits.get(id)
    return id !== undefined && left && nowMs < left.sinceMs + GROWS_MS ? { id, left } : undefined
  }

  const grantable = (roomNanoUsd: number): number => {
    let outNanoUsd = 0
    for (const { nanoUsd } of credits.values()) outNanoUsd += nanoUsd
    return Math.floor(Math.min(roomNanoUsd * SHARE, (roomNanoUsd + outNanoUsd) * SHARE_OF_ALL - outNanoUsd))
  }

  return {
    /** What is left to the isolate that asks, under this name unless it has some; undefined where that is too much. */
    grant(
      { wish, budgets, amountNanoUsd, deadlineMs: callDeadlineMs }: HoldRequest,
      { name, nowMs }: { name: string; nowMs: number },
    ): Credit | undefined {
      if (!wish || accounts.isHaunted(budgets, nowMs)) return undefined
      const mostNanoUsd = grantable(accounts.room(budgets, nowMs))
      // Whoever has enough wishes for nothing more than to draw on it for longer.
      const nanoUsd = Math.min(wish.nanoUsd, mostNanoUsd)
      const deadlineMs = callDeadlineMs + CREDIT_MS
      if (mostNanoUsd < amountNanoUsd || !accounts.reserve(budgets, nanoUsd, { deadlineMs, nowMs }).ok) return undefined
      const { id, left } = growing(wish.creditId, nowMs) ?? { id: name, left: begun(budgets, nowMs) }
      left.nanoUsd += nanoUsd
      left.dueMs = nowMs + CREDIT_MS + LISTED_WITHIN_MS
      credits.set(id, left)
      return { id, nanoUsd, deadlineMs }
    },

    /** What was drawn holds nothing any more; false for a credit that is not of this life. */
    giveBack({ creditId, nanoUsd }: Drawn): boolean {
      const left = credits.get(creditId)
      if (!left) return false
      const amount = Math.min(nanoUsd, left.nanoUsd)
      left.nanoUsd -= amount
      accounts.unreserve(left.budgets, amount)
      return true
    },

    /** Who drew it will hold it; false for a credit that is gone. */
    handOver({ creditId, nanoUsd }: Drawn): boolean {
      const left = credits.get(creditId)
      if (!left || left.nanoUsd < nanoUsd) return false
      left.nanoUsd -= nanoUsd
      return true
    },

    has: (creditId: string | undefined): boolean => creditId !== undefined && credits.has(creditId),
    size: () => credits.size,

    /** When nobody draws any more on one of them; undefined without any. */
    dueMs(): number | undefined {
      const times = [...credits.values()].map(({ dueMs }) => dueMs)
      return times.length === 0 ? undefined : Math.min(...times)
    },

    /** What is left of those that were due when the list of open calls was read. */
    dropDue(readMs: number): void {
      for (const [id, { budgets, nanoUsd, dueMs }] of credits) {
        if (dueMs > readMs) continue
        credits.delete(id)
        accounts.unreserve(budgets, nanoUsd)
      }
    },

    /** The list of open calls is read from here on, until `listened`; these have ended. */
    listen(ended: Iterable<string>): void {
      endedMeanwhile = new Set(ended)
    },
    listened(): void {
      endedMeanwhile = undefined
    },
    ended(requestId: string): void {
      endedMeanwhile?.add(requestId)
    },
    hasEnded: (requestId: string): boolean => endedMeanwhile?.has(requestId) === true,
  }
}

const begun = (budgets: readonly BudgetRef[], nowMs: number): Left => ({
  budgets: budgets.filter(({ soft }) => !soft),
  nanoUsd: 0,
  sinceMs: nowMs,
  dueMs: 0,
})
