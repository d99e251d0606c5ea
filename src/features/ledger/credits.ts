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

type Left = { budgets: readonly BudgetRef[]; nanoUsd: number; dueMs: number }

/**
 * What isolates were left to hold calls with: `nanoUsd` of each is held in its budgets, drawn or not. Who drew on it is
 * on Redis' list of open calls: when nobody draws any more that is read, and whoever is on it holds by itself then.
 */
export function createCredits(accounts: Pick<Accounts, 'reserve' | 'unreserve' | 'room' | 'isHaunted'>) {
  const credits = new Map<string, Left>()
  /** While the list is being read: those who ended meanwhile may be on it all the same. */
  let endedMeanwhile: Set<string> | undefined

  return {
    /** What is left to the isolate that asks, under this name unless it has some; undefined where that is too much. */
    grant(
      { wish, budgets, amountNanoUsd, deadlineMs: callDeadlineMs }: HoldRequest,
      { name, nowMs }: { name: string; nowMs: number },
    ): Credit | undefined {
      if (!wish || accounts.isHaunted(budgets, nowMs)) return undefined
      const nanoUsd = Math.min(wish.nanoUsd, Math.floor(accounts.room(budgets, nowMs) * SHARE))
      const deadlineMs = callDeadlineMs + CREDIT_MS
      if (nanoUsd < amountNanoUsd || !accounts.reserve(budgets, nanoUsd, { deadlineMs, nowMs }).ok) return undefined
      const known = wish.creditId === undefined ? undefined : credits.get(wish.creditId)
      const id = known && wish.creditId !== undefined ? wish.creditId : name
      const left = known ?? { budgets: budgets.filter(({ soft }) => !soft), nanoUsd: 0, dueMs: 0 }
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

    /** The list of open calls is read from here on, until `listened`. */
    listen(): void {
      endedMeanwhile = new Set()
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
