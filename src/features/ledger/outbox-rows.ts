import type { LedgerRow, SettledCall, Settlement } from '../../core/ledger.ts'
import { type LedgerStorage, SET_ASIDE_MS, type SqlValue, WAITS } from './storage.ts'

/** The ids of flushed rows stay this long: they are what a late duplicate settlement is recognised by. */
const KEEP_FLUSHED_MS = 30 * 60_000

/** For each row that is flushed as many old ones are looked at: whoever is behind catches up. */
const OLD_FOR_EACH = 2

/** A statement has at most a hundred values, and one of many rows costs less than many of one. */
const ROWS_AT_ONCE = [16, 4, 1] as const
const rowsOf = (count: number): string =>
  `insert into outbox (booked_ms, request_id, row, corrections, counters, held)
   values ${Array.from({ length: count }, () => '(?1, ?, ?, ?, ?, ?)').join(', ')}
   on conflict do nothing returning request_id`
const inserts: ReadonlyMap<number, string> = new Map(ROWS_AT_ONCE.map((count) => [count, rowsOf(count)]))

export type OutboxEntry = {
  requestId: string
  /** The `LedgerRow` as JSON, with its `request`, `decision` and what was `measured`: it goes to Postgres as it is. */
  rowText: string
  corrections: Settlement['tokenCorrections']
  counters: Settlement['counters']
  held: boolean
}

type Booking = { isHeld: (call: SettledCall) => boolean; nowMs: number }

const valuesOf = (call: SettledCall, isHeld: boolean): SqlValue[] => [
  call.request_id,
  call.rowText,
  call.correctionsText,
  call.countersText,
  isHeld ? 1 : 0,
]

/** The table of booked calls, with what of them still has to go on. */
export function createOutboxRows(storage: LedgerStorage) {
  return {
    /** False for a call that is there already, flushed or not, or comes twice. `isHeld` is whether Redis lists it as open. */
    add(calls: readonly SettledCall[], { isHeld, nowMs }: Booking): boolean[] {
      const added = new Set<string>()
      for (let at = 0; at < calls.length; ) {
        const count = ROWS_AT_ONCE.find((size) => size <= calls.length - at) ?? 1
        const rows = calls.slice(at, at + count).flatMap((call) => valuesOf(call, isHeld(call)))
        for (const { request_id } of storage.exec(inserts.get(count) ?? '', nowMs, ...rows))
          added.add(String(request_id))
        at += count
      }
      return calls.map(({ request_id }) => added.delete(request_id))
    },

    has: (requestId: string): boolean =>
      storage.exec('select 1 from outbox where request_id = ?', requestId).length > 0,

    countWaiting(): number {
      const [row] = storage.exec(`select count(*) as count from outbox where flushed_ms is null and ${WAITS}`)
      return Number(row?.count ?? 0)
    },

    newest(): string {
      const [row] = storage.exec('select max(request_id) as newest from outbox')
      return String(row?.newest ?? '')
    },

    unflushed(limit: number): OutboxEntry[] {
      return storage
        .exec(
          `select request_id, row, corrections, counters, held from outbox
           where flushed_ms is null and ${WAITS} order by booked_ms limit ?`,
          limit,
        )
        .map((entry) => ({
          requestId: String(entry.request_id),
          rowText: String(entry.row),
          corrections: JSON.parse(String(entry.corrections)),
          counters: JSON.parse(String(entry.counters)),
          held: entry.held === 1,
        }))
    },

    /** Calls that are booked here and not yet in Postgres, whether or not it will ever take them. */
    unwritten: (): LedgerRow[] =>
      storage
        .exec(`select json_remove(row, '$.request', '$.decision', '$.measured') as row from outbox where ${WAITS}`)
        .map((entry) => JSON.parse(String(entry.row))),

    markFlushed(requestIds: readonly string[], nowMs: number): void {
      storage.transaction(() => {
        storage.exec(
          `update outbox set flushed_ms = ?, row = '', corrections = '', counters = ''
           where request_id in (select value from json_each(?))`,
          nowMs,
          JSON.stringify(requestIds),
        )
        storage.exec(
          `delete from outbox where flushed_ms < ? and rowid in (
             select rowid from outbox where flushed_ms is not ? order by rowid limit ?)`,
          nowMs - KEEP_FLUSHED_MS,
          SET_ASIDE_MS,
          requestIds.length * OLD_FOR_EACH,
        )
      })
    },

    /** A row that Postgres will never take: it stays here for someone to look at, and in nobody's way. */
    setAside(requestId: string): void {
      storage.exec('update outbox set flushed_ms = ? where request_id = ?', SET_ASIDE_MS, requestId)
    },
  }
}
