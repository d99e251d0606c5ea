import { describe, expect, it } from 'vitest'
import { createBook } from '../../../src/features/ledger/book.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { DAY_MS, NOON, settlementOf } from './calls.ts'

const GRACE_MS = 10_000
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10)

function bookWith() {
  const storage = sqliteStorage()
  let book = createBook(storage, { graceMs: GRACE_MS })
  return {
    get book() {
      return book
    },
    crash: () => {
      book = createBook(storage, { graceMs: GRACE_MS })
    },
    settle: (id: string, cost: number, atMs: number) => {
      const { row, ...rest } = settlementOf(id, cost)
      return book.settle({ ...rest, row: { ...row, created_at: Math.floor(atMs / 1000) } }, atMs)
    },
  }
}

describe('the total of a day', () => {
  it('is of every call once, of that day by its own time, through a crash', () => {
    const world = bookWith()
    const midnight = NOON + DAY_MS / 2
    world.settle('first', 1, NOON - DAY_MS)
    world.settle('a', 10, NOON)
    world.settle('b', 20, midnight - 1)
    world.settle('b', 20, midnight - 1)
    world.settle('c', 40, midnight)
    world.crash()
    world.settle('d', 80, NOON)
    world.book.markFlushed(['a', 'c'], NOON)
    expect(world.book.settledOn(dayOf(NOON))).toEqual({ settledNanoUsd: 110, waitingNanoUsd: 100 })
    expect(world.book.settledOn(dayOf(midnight))).toEqual({ settledNanoUsd: 40, waitingNanoUsd: 0 })
  })

  it('takes no memory for what waits, however long Postgres has been away', () => {
    const storage = sqliteStorage()
    let read = 0
    const exec: typeof storage.exec = (...statement) => {
      const rows = storage.exec(...statement)
      read += rows.length
      return rows
    }
    const book = createBook({ ...storage, exec }, { graceMs: GRACE_MS })
    const { row, ...rest } = settlementOf('first', 1)
    book.settle({ ...rest, row: { ...row, created_at: row.created_at - DAY_MS / 1000 } }, NOON)
    for (let at = 0; at < 100; at++) book.settle(settlementOf(`req_${at}`, 1), NOON)
    read = 0
    expect(book.settledOn(dayOf(NOON))).toEqual({ settledNanoUsd: 100, waitingNanoUsd: 100 })
    expect(read).toBeLessThanOrEqual(2)
  })

  it('has what Postgres will never take, and does not wait for it', () => {
    const world = bookWith()
    world.settle('first', 1, NOON - DAY_MS)
    world.settle('refused', 5, NOON)
    world.book.setAside('refused')
    expect(world.book.settledOn(dayOf(NOON))).toEqual({ settledNanoUsd: 5, waitingNanoUsd: 0 })
  })

  it('is not known of the day on which the counting began, nor of any before', () => {
    const world = bookWith()
    expect(world.book.settledOn(dayOf(NOON))).toBeUndefined()
    world.settle('first', 1, NOON)
    expect(world.book.settledOn(dayOf(NOON))).toBeUndefined()
    expect(world.book.settledOn(dayOf(NOON - DAY_MS))).toBeUndefined()
    expect(world.book.settledOn(dayOf(NOON + DAY_MS))).toEqual({ settledNanoUsd: 0, waitingNanoUsd: 0 })
  })

  it('is kept for forty days, also where nothing happens for longer', () => {
    const world = bookWith()
    for (let day = 0; day < 60; day++) world.settle(`day-${day}`, day, NOON + day * DAY_MS)
    expect(world.book.settledOn(dayOf(NOON + 20 * DAY_MS))?.settledNanoUsd).toBe(20)
    expect(world.book.settledOn(dayOf(NOON + 15 * DAY_MS))).toBeUndefined()
    const later = NOON + 200 * DAY_MS
    world.settle('later', 7, later)
    expect(world.book.settledOn(dayOf(later))).toMatchObject({ settledNanoUsd: 7 })
  })
})
