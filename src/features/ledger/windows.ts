import type { BudgetWindow } from '../../core/ledger.ts'

const DAY_MS = 86_400_000
const ROLLING_DAYS = 30

/** The bucket that a spending at this time belongs to. Days and months are UTC; a rolling window is kept by days. */
export function bucketOf(window: BudgetWindow, nowMs: number): string {
  if (window === 'total') return 'total'
  const day = new Date(nowMs).toISOString().slice(0, 10)
  return window === 'month' ? day.slice(0, 7) : day
}

/** The first bucket that still counts; buckets sort as text. */
export function firstBucketOf(window: BudgetWindow, nowMs: number): string {
  return window === 'rolling_30d' ? bucketOf('day', nowMs - (ROLLING_DAYS - 1) * DAY_MS) : bucketOf(window, nowMs)
}
