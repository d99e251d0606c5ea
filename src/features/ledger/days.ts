import type { DayTotal, LedgerRow } from '../../core/ledger.ts'
import { bucketOf } from '../../core/windows.ts'
import type { LedgerStorage } from './storage.ts'

const KEPT_MS = 40 * 86_400_000

/**
 * What was settled on each day, whoever's budgets it counted in: what the permanent record is compared with. The day is
 * that of the row, so that both sums have the same calls.
 */
export function createDays(storage: LedgerStorage) {
  let newest = ''

  /** The newest of the days that are too old stays: it tells that the days after it were counted. */
  const forgetOld = (nowMs: number): void => {
    storage.exec(
      'delete from days where day < (select max(day) from days where day < ?)',
      bucketOf('day', nowMs - KEPT_MS),
    )
  }

  return {
    /** Inside the transaction that books the call. */
    record({ created_at, cost_nanos }: LedgerRow, nowMs: number): void {
      const day = bucketOf('day', created_at * 1000)
      storage.exec(
        `insert into days (day, nanos) values (?, ?)
         on conflict (day) do update set nanos = nanos + excluded.nanos`,
        day,
        cost_nanos,
      )
      if (day <= newest) return
      newest = day
      forgetOld(nowMs)
    },

    /** Undefined for the first day that was counted, of which the beginning may be missing, and for those before. */
    settledOn(day: string): DayTotal | undefined {
      const [known] = storage.exec(
        `select coalesce((select nanos from days where day = ?), 0) as nanos,
           exists (select 1 from days where day < ?) as is_whole`,
        day,
        day,
      )
      if (known?.is_whole !== 1) return undefined
      const waiting = storage
        .exec('select row from outbox where flushed_ms is null')
        .map(({ row }): LedgerRow => JSON.parse(String(row)))
        .filter(({ created_at }) => bucketOf('day', created_at * 1000) === day)
      return {
        settledNanoUsd: Number(known.nanos),
        waitingNanoUsd: waiting.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0),
      }
    },
  }
}
