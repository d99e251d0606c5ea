import type { BudgetWindow } from './ledger.ts'

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

/**
 * The window that holds this time, in Unix milliseconds: from its start until just before its end. A rolling window is
 * today and the 29 days before; a total has neither start nor end.
 */
export function boundsOf(window: BudgetWindow, nowMs: number): { startMs: number; endMs: number } | undefined {
  const now = new Date(nowMs)
  const [year, month, date] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()]
  const today = Date.UTC(year, month, date)
  switch (window) {
    case 'total':
      return undefined
    case 'day':
      return { startMs: today, endMs: today + DAY_MS }
    case 'month':
      return { startMs: Date.UTC(year, month, 1), endMs: Date.UTC(year, month + 1, 1) }
    case 'rolling_30d':
      return { startMs: today - (ROLLING_DAYS - 1) * DAY_MS, endMs: today + DAY_MS }
  }
}
