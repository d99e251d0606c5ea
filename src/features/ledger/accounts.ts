import type { BudgetRef, ExtendAnswer, SettledCall } from '../../core/ledger.ts'
import { bucketOf, firstBucketOf } from '../../core/windows.ts'
import type { LedgerStorage } from './storage.ts'

/** A mark moves in steps of this share of its budget, so that hardly a hold needs a durable write. */
const MARK_STEPS = 100

type Mark = { nanos: number; untilMs: number }
/** What was spent, by bucket. */
export type Spent = ReadonlyMap<string, number>
type Account = { bucket: string; settled: number; held: number; ghost: number; mark: Mark }

export type Accounts = ReturnType<typeof createAccounts>

/**
 * What is settled and held of every budget. For each hold: settled + held + ghost ≤ limit. The ghost is what a crash
 * may have made us forget: the mark left by the last life, less what was settled when this one began; it counts
 * until the calls of that life are accounted for.
 *
 * A budget is opened before it is used: what was spent before this object knew of it is taken in. Until then nothing
 * can be reserved in it, and what is booked will be found where it is read from. Soft budgets are only settled.
 */
export function createAccounts(storage: LedgerStorage, graceMs: number) {
  const accounts = new Map<string, Account>()
  const inherited = new Map<string, Mark>(
    storage
      .exec('select budget_id, nanos, until_ms from marks')
      .map((row) => [String(row.budget_id), { nanos: Number(row.nanos), untilMs: Number(row.until_ms) }]),
  )
  const opened = new Set(storage.exec('select budget_id from opened').map((row) => String(row.budget_id)))
  let looked = 0
  /** A mark's time is written this far ahead, so that it too moves seldom. */
  const untilSlackMs = Math.ceil(graceMs / 2)

  const open = (budget: BudgetRef, nowMs: number): Account => {
    const bucket = bucketOf(budget.window, nowMs)
    const known = accounts.get(budget.id)
    if (known?.bucket === bucket) return known
    const settled = readSettled(storage, budget, nowMs)
    const mark = inherited.get(budget.id) ?? { nanos: 0, untilMs: 0 }
    const account = known
      ? // The last window's mark covers this one too, but by far too much: the next hold writes its own.
        { ...known, bucket, settled, mark: { nanos: 0, untilMs: known.mark.untilMs } }
      : { bucket, settled, held: 0, ghost: Math.max(0, mark.nanos - settled), mark }
    accounts.set(budget.id, account)
    return account
  }

  const haunted = (budgetId: string, nowMs: number): boolean =>
    (inherited.get(budgetId)?.untilMs ?? Number.NEGATIVE_INFINITY) + graceMs > nowMs

  const totalsOf = (budget: BudgetRef, nowMs: number): { settled: number; held: number; ghost: number } => {
    const { settled, held, ghost } = open(budget, nowMs)
    // Also when its time has passed: until the lost calls are booked, their money is nobody else's.
    return { settled, held, ghost: inherited.has(budget.id) ? ghost : 0 }
  }

  const writeMark = (budgetId: string, { nanos, untilMs }: Mark): void => {
    storage.exec(
      `insert into marks (budget_id, nanos, until_ms) values (?, ?, ?)
       on conflict (budget_id) do update set nanos = excluded.nanos, until_ms = excluded.until_ms`,
      budgetId,
      nanos,
      untilMs,
    )
  }

  const raiseMark = (budget: BudgetRef, account: Account, deadlineMs: number): void => {
    const needed = account.settled + account.held + account.ghost
    if (needed <= account.mark.nanos && deadlineMs <= account.mark.untilMs) return
    const step = Math.ceil(budget.limitNanoUsd / MARK_STEPS)
    account.mark = {
      nanos: Math.max(account.mark.nanos, needed, Math.min(budget.limitNanoUsd, needed + step)),
      untilMs: deadlineMs <= account.mark.untilMs ? account.mark.untilMs : deadlineMs + untilSlackMs,
    }
    writeMark(budget.id, account.mark)
  }

  return {
    isOpen: (budgetId: string): boolean => opened.has(budgetId),

    /** Takes in what was spent of a budget so far, in place of anything that was known of it. */
    open(budget: BudgetRef, spent: Spent, nowMs: number): void {
      storage.transaction(() => {
        storage.exec('delete from spent where budget_id = ?', budget.id)
        for (const [bucket, nanos] of spent) {
          storage.exec('insert into spent (budget_id, bucket, nanos) values (?, ?, ?)', budget.id, bucket, nanos)
        }
        storage.exec('insert into opened (budget_id) values (?) on conflict do nothing', budget.id)
      })
      opened.add(budget.id)
      const account = accounts.get(budget.id)
      if (account) account.settled = readSettled(storage, budget, nowMs)
    },

    /** Forgets a budget that is no more, unless calls still hold money in it. */
    drop(budgetId: string): void {
      const account = accounts.get(budgetId)
      if (account && account.held + account.ghost > 0) return
      for (const table of ['spent', 'opened', 'told'])
        storage.exec(`delete from ${table} where budget_id = ?`, budgetId)
      opened.delete(budgetId)
      accounts.delete(budgetId)
    },

    /** As many of the open budgets as that, in turn. */
    nextOpenIds(limit: number): string[] {
      const all = [...opened]
      if (looked >= all.length) looked = 0
      const next = all.slice(looked, looked + limit)
      looked += limit
      return next
    },

    /** Reserves in every budget, or in none. Throws `RangeError` for one that is not open. */
    reserve(
      all: readonly BudgetRef[],
      amount: number,
      { deadlineMs, nowMs }: { deadlineMs: number; nowMs: number },
    ): ExtendAnswer {
      const budgets = hardOf(all)
      for (const budget of budgets) {
        if (!opened.has(budget.id)) throw new RangeError(`the budget ${budget.id} was not opened`)
        const { settled, held, ghost } = totalsOf(budget, nowMs)
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

    /** What may still be reserved in all of these at once. */
    room: (budgets: readonly BudgetRef[], nowMs: number): number =>
      Math.min(
        ...hardOf(budgets).map((budget) => {
          const { settled, held, ghost } = totalsOf(budget, nowMs)
          return budget.limitNanoUsd - settled - held - ghost
        }),
      ),

    unreserve(budgets: readonly BudgetRef[], amount: number): void {
      for (const { id } of hardOf(budgets)) {
        const account = accounts.get(id)
        if (account) account.held = Math.max(0, account.held - amount)
      }
    },

    /** What was reserved belongs to a call of the last life: it ends with the ghost. */
    leaveToGhost(budgets: readonly BudgetRef[], amount: number): void {
      for (const { id } of hardOf(budgets)) {
        const account = accounts.get(id)
        if (!account) continue
        account.held -= amount
        account.ghost += amount
      }
    },

    /** The other way round: a call of the last life is heard of, and holds by itself from now on. */
    takeFromGhost(budgets: readonly BudgetRef[], amount: number, at: { deadlineMs: number; nowMs: number }): void {
      for (const budget of hardOf(budgets)) {
        const account = open(budget, at.nowMs)
        account.ghost = Math.max(0, account.ghost - amount)
        account.held += amount
        raiseMark(budget, account, at.deadlineMs)
      }
    },

    /** The durable half of spendings, inside the transaction that books their calls: one write a budget. */
    record(calls: readonly Pick<SettledCall, 'budgets' | 'cost_nanos'>[], nowMs: number): void {
      const spent = new Map<string, { bucket: string; nanos: number }>()
      for (const { budgets, cost_nanos } of calls) {
        for (const budget of budgets) {
          if (!opened.has(budget.id)) continue
          const { bucket } = open(budget, nowMs)
          spent.set(budget.id, { bucket, nanos: (spent.get(budget.id)?.nanos ?? 0) + cost_nanos })
        }
      }
      for (const [budgetId, { bucket, nanos }] of spent) {
        storage.exec(
          `insert into spent (budget_id, bucket, nanos) values (?, ?, ?)
           on conflict (budget_id, bucket) do update set nanos = nanos + excluded.nanos`,
          budgetId,
          bucket,
          nanos,
        )
      }
    },

    /**
     * The half in memory, once the transaction stands and the call's own hold is released. A call of the last life is
     * paid out of its ghost.
     */
    apply(
      budgets: readonly BudgetRef[],
      amount: number,
      { isOfThisLife, nowMs }: { isOfThisLife: boolean; nowMs: number },
    ): void {
      for (const budget of budgets) {
        const account = open(budget, nowMs)
        if (opened.has(budget.id)) account.settled += amount
        if (!isOfThisLife) account.ghost = Math.max(0, account.ghost - amount)
        // A call that cost more than it held must not use up the mark of those that still hold.
        if (account.held + account.ghost > 0) raiseMark(budget, account, account.mark.untilMs)
      }
    },

    isHaunted: (budgets: readonly BudgetRef[], nowMs: number): boolean =>
      hardOf(budgets).some(({ id }) => haunted(id, nowMs)),

    /** What the last life's lost calls can have held in all of these budgets, whether or not it still counts. */
    ghostOf: (budgets: readonly BudgetRef[], nowMs: number): number =>
      Math.min(...hardOf(budgets).map((budget) => open(budget, nowMs).ghost)),

    /** When the last life's calls must all have ended; undefined when it left none. */
    hauntedUntilMs(): number | undefined {
      const times = [...inherited.values()].map((mark) => mark.untilMs + graceMs)
      return times.length === 0 ? undefined : Math.max(...times)
    },

    /** Every call of the last life is accounted for. */
    forgetGhosts(): void {
      inherited.clear()
      for (const account of accounts.values()) {
        account.ghost = 0
        account.mark = { nanos: 0, untilMs: account.mark.untilMs }
      }
    },

    /** Nothing is held and nobody is missing: a crash from here on forgets nothing. */
    clearMarks(): void {
      storage.exec('delete from marks')
      for (const account of accounts.values()) account.mark = { nanos: 0, untilMs: 0 }
    },

    /**
     * Nothing is held, but calls of the last life are missing: a crash from here on forgets those and no others. Else a
     * quiet object, which sleeps between two calls, would leave more behind each time, and for longer.
     */
    lowerMarks(): void {
      for (const [budgetId, account] of accounts) {
        const left = inherited.get(budgetId)
        const mark = left ? { nanos: account.settled + account.ghost, untilMs: left.untilMs } : { nanos: 0, untilMs: 0 }
        if (mark.nanos === account.mark.nanos && mark.untilMs === account.mark.untilMs) continue
        account.mark = mark
        if (left) writeMark(budgetId, mark)
        else storage.exec('delete from marks where budget_id = ?', budgetId)
      }
    },

    totals: totalsOf,
  }
}

const hardOf = (budgets: readonly BudgetRef[]): BudgetRef[] => budgets.filter(({ soft }) => !soft)

function readSettled(storage: LedgerStorage, budget: BudgetRef, nowMs: number): number {
  const [row] = storage.exec(
    'select coalesce(sum(nanos), 0) as nanos from spent where budget_id = ? and bucket >= ?',
    budget.id,
    firstBucketOf(budget.window, nowMs),
  )
  return Number(row?.nanos ?? 0)
}
