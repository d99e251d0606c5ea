import type { LedgerRow, SettledCall, Settlement } from '../../core/ledger.ts'
import type { LedgerStorage } from './storage.ts'

/** The ids of flushed rows stay this long: they are what a late duplicate settlement is recognised by. */
const KEEP_FLUSHED_MS = 30 * 60_000

/** Marks a row that Postgres refuses: after everything that can be flushed. */
const SET_ASIDE_MS = Number.MAX_SAFE_INTEGER

export type OutboxEntry = {
  requestId: string
  /** The `LedgerRow` as JSON, with its `request`, `decision` and what was `measured`: it goes to Postgres as it is. */
  rowText: string
  corrections: Settlement['tokenCorrections']
  counters: Settlement['counters']
  held: boolean
}

/** The table of booked calls, with what of them still has to go on. */
export function createOutboxRows(storage: LedgerStorage) {
  return {
    /** False where the call is there already, flushed or not. */
    add(call: SettledCall, { isHeld, nowMs }: { isHeld: boolean; nowMs: number }): boolean {
      const added = storage.exec(
        `insert into outbox (request_id, row, corrections, counters, held, booked_ms) values (?, ?, ?, ?, ?, ?)
         on conflict do nothing returning request_id`,
        call.request_id,
        call.rowText,
        call.correctionsText,
        call.countersText,
        isHeld ? 1 : 0,
        nowMs,
      )
      return added.length > 0
    },

    has: (requestId: string): boolean =>
      storage.exec('select 1 from outbox where request_id = ?', requestId).length > 0,

    countWaiting(): number {
      const [row] = storage.exec('select count(*) as count from outbox where flushed_ms is null')
      return Number(row?.count ?? 0)
    },

    newest(): string {
      const [row] = storage.exec('select max(request_id) as newest from outbox')
      return String(row?.newest ?? '')
    },

    unflushed(limit: number): OutboxEntry[] {
      return storage
        .exec(
          'select request_id, row, corrections, counters, held from outbox where flushed_ms is null order by booked_ms limit ?',
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
        .exec(
          `select json_remove(row, '$.request', '$.decision', '$.measured') as row from outbox
           where flushed_ms is null or flushed_ms = ?`,
          SET_ASIDE_MS,
        )
        .map((entry) => JSON.parse(String(entry.row))),

    markFlushed(requestIds: readonly string[], nowMs: number): void {
      storage.transaction(() => {
        storage.exec(
          `update outbox set flushed_ms = ?, row = '', corrections = '', counters = ''
           where request_id in (select value from json_each(?))`,
          nowMs,
          JSON.stringify(requestIds),
        )
        storage.exec('delete from outbox where flushed_ms < ?', nowMs - KEEP_FLUSHED_MS)
      })
    },

    /** A row that Postgres will never take: it stays here for someone to look at, and in nobody's way. */
    setAside(requestId: string): void {
      storage.exec('update outbox set flushed_ms = ? where request_id = ?', SET_ASIDE_MS, requestId)
    },
  }
}
