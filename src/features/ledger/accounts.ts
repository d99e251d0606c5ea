import type { BudgetRef, HoldAnswer } from '../../core/ledger.ts'
import type { LedgerStorage } from './storage.ts'
import { bucketOf, firstBucketOf } from './windows.ts'

/** A mark moves in steps of this share of its budget, so that hardly a hold needs a durable write. */
const MARK_STEPS = 100
/** A mark's time is written this far ahead, so that it too moves seldom. */
const UNTIL_SLACK_MS = 30_000

type Mark = { nanos: number; untilMs: number }
type Account = { bucket: string; settled: number; held: number; ghost: number; mark: Mark }

export type Accounts = ReturnType<typeof createAccounts>

/**
 * What is settled and held of every budget. For each hold: settled + held + ghost ≤ limit. The ghost is what a crash
 * may have made us forget: the mark left by the last life, less what was settled when this one began; it fades when
 * the last call of that life must have ended.
 */
export function createAccounts(storage: LedgerStorage, graceMs: number) {
  const accounts = new Map<string, Account>()
  const inherited = new Map<string, Mark>(
    storage
      .exec('select budget_id, nanos, until_ms from marks')
      .map((row) => [String(row.budget_id), { nanos: Number(row.nanos), untilMs: Number(row.until_ms) }]),
  )

  const open = (budget: BudgetRef, nowMs: number): Account => {
    const bucket = bucketOf(budget.window, nowMs)
    const known = accounts.get(budget.id)
    if (known?.bucket === bucket) {
      if (known.ghost > 0 && !haunted(budget.id, nowMs)) known.ghost = 0
      return known
    }
    const settled = readSettled(storage, budget, nowMs)
    const mark = inherited.get(budget.id) ?? { nanos: 0, untilMs: 0 }
    const ghost = haunted(budget.id, nowMs) ? Math.max(0, mark.nanos - settled) : 0
    const account = known ? { ...known, bucket, settled } : { bucket, settled, held: 0, ghost, mark }
    accounts.set(budget.id, account)
    return account
  }

  const haunted = (budgetId: string, nowMs: number): boolean =>
    (inherited.get(budgetId)?.untilMs ?? Number.NEGATIVE_INFINITY) + graceMs > nowMs

  const raiseMark = (budget: BudgetRef, account: Account, deadlineMs: number): void => {
    const needed = account.settled + account.held + account.ghost
    if (needed <= account.mark.nanos && deadlineMs <= account.mark.untilMs) return
    const step = Math.ceil(budget.limitNanoUsd / MARK_STEPS)
    account.mark = {
      nanos: Math.max(account.mark.nanos, needed, Math.min(budget.limitNanoUsd, needed + step)),
      untilMs: Math.max(account.mark.untilMs, deadlineMs + UNTIL_SLACK_MS),
    }
    storage.exec(
      `insert into marks (budget_id, nanos, until_ms) values (?, ?, ?)
       on conflict (budget_id) do update set nanos = excluded.nanos, until_ms = excluded.until_ms`,
      budget.id,
      account.mark.nanos,
      account.mark.untilMs,
    )
  }

  return {
    /** Reserves in every budget, or in none. */
    reserve(
      budgets: readonly BudgetRef[],
      amount: number,
      { deadlineMs, nowMs }: { deadlineMs: number; nowMs: number },
    ): HoldAnswer {
      for (const budget of budgets) {
        const { settled, held, ghost } = open(budget, nowMs)
        const remaining = budget.limitNanoUsd - settled - held - ghost
        if (amount > remaining) return { ok: false, budgetId: budget.id, remainingNanoUsd: Math.max(0, remaining) }
      }
      for (const budget of budgets) {
        const account = open(budget, nowMs)
        account.held += amount
        raiseMark(budget, account, deadlineMs)
      }
      return { ok: true }
    },

    unreserve(budgets: readonly BudgetRef[], amount: number): void {
      for (const { id } of budgets) {
        const account = accounts.get(id)
        if (account) account.held = Math.max(0, account.held - amount)
      }
    },

    /** Inside a transaction. A call of the last life is paid out of its ghost. */
    spend(budget: BudgetRef, amount: number, { ownHold, nowMs }: { ownHold: boolean; nowMs: number }): void {
      const account = open(budget, nowMs)
      storage.exec(
        `insert into spent (budget_id, bucket, nanos) values (?, ?, ?)
         on conflict (budget_id, bucket) do update set nanos = nanos + excluded.nanos`,
        budget.id,
        account.bucket,
        amount,
      )
      account.settled += amount
      if (!ownHold) account.ghost = Math.max(0, account.ghost - amount)
    },

    /** When the last life's calls must all have ended; undefined when it left none. */
    hauntedUntilMs(): number | undefined {
      const times = [...inherited.values()].map((mark) => mark.untilMs + graceMs)
      return times.length === 0 ? undefined : Math.max(...times)
    },

    /** Nothing is held and nobody is missing: a crash from here on forgets nothing. */
    clearMarks(): void {
      storage.exec('delete from marks')
      inherited.clear()
      for (const account of accounts.values()) {
        account.ghost = 0
        account.mark = { nanos: 0, untilMs: 0 }
      }
    },

    totals(budget: BudgetRef, nowMs: number): { settled: number; held: number; ghost: number } {
      const { settled, held, ghost } = open(budget, nowMs)
      return { settled, held, ghost }
    },
  }
}

function readSettled(storage: LedgerStorage, budget: BudgetRef, nowMs: number): number {
  const [row] = storage.exec(
    'select coalesce(sum(nanos), 0) as nanos from spent where budget_id = ? and bucket >= ?',
    budget.id,
    firstBucketOf(budget.window, nowMs),
  )
  return Number(row?.nanos ?? 0)
}
