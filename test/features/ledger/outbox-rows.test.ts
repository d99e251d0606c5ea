import { expect, it } from 'vitest'
import { createOutboxRows } from '../../../src/features/ledger/outbox-rows.ts'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'
import { createTables } from '../../../src/features/ledger/storage.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { NOON, settlementOf } from './calls.ts'

const HALF_HOUR_MS = 30 * 60_000

function table() {
  const storage = sqliteStorage()
  createTables(storage)
  const rows = createOutboxRows(storage)
  const add = (ids: readonly string[], nowMs = NOON) =>
    rows.add(
      ids.map((id, at) => settledCallOf(settlementOf(id, at))),
      { isHeld: ({ request_id }) => request_id.endsWith('1'), nowMs },
    )
  const kept = () => storage.exec('select request_id from outbox order by rowid').map(({ request_id }) => request_id)
  return { storage, rows, add, kept }
}

const idsOf = (count: number, prefix = 'r') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

it('takes as many calls at a time as come, each with its own values', () => {
  for (const count of [1, 2, 3, 4, 5, 15, 16, 17, 21, 40, 101]) {
    const { rows, add } = table()
    const ids = idsOf(count)
    expect(add(ids)).toEqual(ids.map(() => true))
    const entries = rows.unflushed(1000)
    expect(entries.map(({ requestId }) => requestId)).toEqual(ids)
    expect(entries.map(({ rowText }) => JSON.parse(rowText).cost_nanos)).toEqual(ids.map((_, at) => at))
    expect(entries.filter(({ held }) => held).map(({ requestId }) => requestId)).toEqual(
      ids.filter((id) => id.endsWith('1')),
    )
  }
})

it('knows which of them it has already, also of the same bundle', () => {
  const { add, rows } = table()
  add(['a', 'b'])
  expect(add(['c', 'a', 'c', 'd', 'b', 'e'])).toEqual([true, false, false, true, false, true])
  expect(rows.countWaiting()).toBe(5)
})

it('forgets rows half an hour after they were flushed, oldest first, and stumbles over none that was set aside', () => {
  const { rows, add, kept } = table()
  add(['bad', ...idsOf(10, 'old')])
  rows.setAside('bad')
  rows.markFlushed(idsOf(10, 'old'), NOON)
  add(idsOf(6, 'new'), NOON + HALF_HOUR_MS)
  rows.markFlushed(idsOf(3, 'new'), NOON + HALF_HOUR_MS + 1)
  expect(kept()).toEqual(['bad', ...idsOf(10, 'old').slice(6), ...idsOf(6, 'new')])
  rows.markFlushed(['new3', 'new4', 'new5'], NOON + HALF_HOUR_MS + 2)
  expect(kept()).toEqual(['bad', ...idsOf(6, 'new')])
  expect(rows.unflushed(10)).toEqual([])
  expect(rows.unwritten()).toMatchObject([{ request_id: 'bad' }])
})

it('goes on with the table of an earlier release, which had an index of all rows', () => {
  const storage = sqliteStorage()
  createTables(storage)
  storage.exec('drop index outbox_waiting')
  storage.exec('create index outbox_flushed on outbox (flushed_ms, booked_ms)')
  createTables(storage)
  const names = storage.exec("select name from sqlite_master where type = 'index' and name like 'outbox%'")
  expect(names).toEqual([{ name: 'outbox_waiting' }])
})
