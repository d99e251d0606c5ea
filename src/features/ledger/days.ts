import type { DayTotal, LedgerRow } from '../../core/ledger.ts'
import { bucketOf } from '../../core/windows.ts'
import { type LedgerStorage, WAITS } from './storage.ts'

const DAY_SECONDS = 86_400
const KEPT_MS = 40 * DAY_SECONDS * 1000

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
    /** Inside the transaction that books the calls: one write a day. */
    record(calls: readonly Pick<LedgerRow, 'created_at' | 'cost_nanos'>[], nowMs: number): void {
      const sums = new Map<number, number>()
      for (const { created_at, cost_nanos } of calls) {
        const number = Math.floor(created_at / DAY_SECONDS)
        sums.set(number, (sums.get(number) ?? 0) + cost_nanos)
      }
      for (const [number, nanos] of sums) {
        const day = bucketOf('day', number * DAY_SECONDS * 1000)
        storage.exec(
          `insert into days (day, nanos) values (?, ?)
           on conflict (day) do update set nanos = nanos + excluded.nanos`,
          day,
          nanos,
        )
        if (day <= newest) continue
        newest = day
        forgetOld(nowMs)
      }
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
      // Summed up where it is: while Postgres is away there may be more rows than an object has memory for.
      const fromSeconds = Date.parse(day) / 1000
      const [waiting] = storage.exec(
        `select coalesce(sum(json_extract(row, '$.cost_nanos')), 0) as nanos from outbox
         where flushed_ms is null and ${WAITS} and json_extract(row, '$.created_at') >= ? and json_extract(row, '$.created_at') < ?`,
        fromSeconds,
        fromSeconds + DAY_SECONDS,
      )
      return { settledNanoUsd: Number(known.nanos), waitingNanoUsd: Number(waiting?.nanos ?? 0) }
    },
  }
}
