import type { BudgetRef } from '../../core/ledger.ts'
import { bucketOf } from '../../core/windows.ts'
import type { LedgerStorage } from './storage.ts'

/** A share of a budget's limit that its settled money has just reached. */
export type Passed = { budget: BudgetRef; percent: number; settledNanoUsd: number }

/**
 * Tells of each share once in a window. What falls below it again, because the limit was raised or old days left a
 * rolling window, can reach it again.
 */
export function createThresholds(storage: LedgerStorage) {
  const told = new Map<string, { bucket: string; percent: number }>(
    storage
      .exec('select budget_id, bucket, percent from told')
      .map((row) => [String(row.budget_id), { bucket: String(row.bucket), percent: Number(row.percent) }]),
  )

  const note = (budgetId: string, entry: { bucket: string; percent: number }): void => {
    told.set(budgetId, entry)
    storage.exec(
      `insert into told (budget_id, bucket, percent) values (?, ?, ?)
       on conflict (budget_id) do update set bucket = excluded.bucket, percent = excluded.percent`,
      budgetId,
      entry.bucket,
      entry.percent,
    )
  }

  return {
    passed(budget: BudgetRef, settledNanoUsd: number, nowMs: number): Passed[] {
      const { id, window, limitNanoUsd, softPercent = [] } = budget
      const reached =
        settledNanoUsd === 0 ? [] : softPercent.filter((percent) => isReached(settledNanoUsd, limitNanoUsd, percent))
      const highest = Math.max(0, ...reached)
      // A rolling window has no end: there only what has been freed counts anew.
      const bucket = window === 'rolling_30d' ? window : bucketOf(window, nowMs)
      const last = told.get(id)
      const before = last?.bucket === bucket ? Math.min(last.percent, highest) : 0
      if (last ? last.bucket !== bucket || last.percent !== highest : highest > 0)
        note(id, { bucket, percent: highest })
      return reached.filter((percent) => percent > before).map((percent) => ({ budget, percent, settledNanoUsd }))
    },
  }
}

/** In whole numbers: hundred times a budget passes the safe integers. */
const isReached = (settled: number, limit: number, percent: number): boolean =>
  BigInt(settled) * 100n >= BigInt(limit) * BigInt(percent)
