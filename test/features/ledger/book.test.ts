import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SettledCall } from '../../../src/core/ledger.ts'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'
import { count } from '../../support/lane.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { bookOver, budgetOf, DAY_MS, holdOf, NOON, settlementOf } from './calls.ts'

const GRACE_MS = 1000
const total = budgetOf(1000)
const windows = ['total', 'day', 'month', 'rolling_30d'] as const
const open = (storage = sqliteStorage()) =>
  bookOver(storage, { graceMs: GRACE_MS, budgets: windows.map((window) => budgetOf(1000, window)) })

describe('a book of one life', () => {
  it('holds up to the limit, refuses beyond it, and says what is left', () => {
    const book = open()
    expect(book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 600 }), NOON)).toEqual({ ok: true })
    expect(book.hold(holdOf('b', { budgets: [total], amountNanoUsd: 401 }), NOON)).toEqual({
      ok: false,
      budgetId: total.id,
      remainingNanoUsd: 400,
    })
    expect(book.hold(holdOf('c', { budgets: [total], amountNanoUsd: 400 }), NOON)).toEqual({ ok: true })
    expect(book.totals(total, NOON)).toEqual({ settled: 0, held: 1000, ghost: 0 })
  })

  it('reserves in every budget of a caller or in none', () => {
    const book = open()
    const small = budgetOf(100, 'day')
    expect(book.hold(holdOf('a', { budgets: [total, small], amountNanoUsd: 101 }), NOON)).toMatchObject({
      ok: false,
      budgetId: small.id,
    })
    expect(book.totals(total, NOON).held).toBe(0)
  })

  it('changes nothing when a request that holds asks again', () => {
    const book = open()
    const hold = holdOf('a', { budgets: [total], amountNanoUsd: 600 })
    expect(book.hold(hold, NOON)).toEqual({ ok: true })
    expect(book.hold(hold, NOON)).toEqual({ ok: true })
    expect(book.totals(total, NOON).held).toBe(600)
  })

  it('holds anew when a request that holds asks again for something else', () => {
    const book = open()
    const added = budgetOf(500, 'day')
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 400 }), NOON)
    const wider = holdOf('a', { budgets: [total, added], amountNanoUsd: 450 })
    expect(book.hold(wider, NOON)).toEqual({ ok: true })
    expect([total, added].map((budget) => book.totals(budget, NOON).held)).toEqual([450, 450])
    expect(book.hold(holdOf('a', { budgets: [total, added], amountNanoUsd: 600 }), NOON)).toMatchObject({ ok: false })
    expect([total, added].map((budget) => book.totals(budget, NOON).held)).toEqual([0, 0])
  })

  it('settles once: what was held and not spent is free again', () => {
    const book = open()
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 600 }), NOON)
    expect(book.settle(settlementOf('a', 200, [total]), NOON)).toBe(true)
    expect(book.settle(settlementOf('a', 200, [total]), NOON)).toBe(false)
    expect(book.totals(total, NOON)).toEqual({ settled: 200, held: 0, ghost: 0 })
    expect(book.unflushedCount()).toBe(1)
  })

  it('books calls that are settled together as it does one by one', () => {
    const day = budgetOf(1000, 'day')
    const calls = fc.array(
      fc.record({
        id: fc.constantFrom(...'abcdefgh'),
        cost: fc.nat({ max: 50 }),
        both: fc.boolean(),
        next: fc.boolean(),
      }),
    )
    fc.assert(
      fc.property(calls, (list) => {
        const [alone, together] = [open(), open()]
        for (const book of [alone, together])
          for (const id of 'abcd') book.hold(holdOf(id, { budgets: [total, day], amountNanoUsd: 50 }), NOON)
        const settlements = list.map(({ id, cost, both }) => settlementOf(id, cost, both ? [total, day] : [day]))
        const bundles: SettledCall[][] = [[]]
        for (const [at, settlement] of settlements.entries()) {
          if (list[at]?.next) bundles.push([])
          bundles.at(-1)?.push(settledCallOf(settlement))
        }
        expect(bundles.flatMap((bundle) => together.settleAll(bundle, NOON))).toEqual(
          settlements.map((settlement) => alone.settle(settlement, NOON)),
        )
        expect([total, day].map((budget) => together.totals(budget, NOON))).toEqual(
          [total, day].map((budget) => alone.totals(budget, NOON)),
        )
        expect(together.unflushed(100)).toEqual(alone.unflushed(100))
        expect(together.openHolds()).toBe(alone.openHolds())
      }),
      { numRuns: count(100, 3000) },
    )
  })

  it('books the others when one of several cannot be written, and tells of it', () => {
    const book = open()
    for (const id of 'abc') book.hold(holdOf(id, { budgets: [total], amountNanoUsd: 100 }), NOON)
    const calls = [settlementOf('a', 1, [total]), settlementOf('b', Number.NaN, [total]), settlementOf('c', 2, [total])]
    expect(() => book.settleAll(calls.map(settledCallOf), NOON)).toThrow('NOT NULL')
    expect(book.totals(total, NOON)).toMatchObject({ settled: 3, held: 100 })
    expect(book.unflushed(10).map(({ requestId }) => requestId)).toEqual(['a', 'c'])
  })

  it('does not double a settlement that comes again after its row was written', () => {
    const book = open()
    book.settle(settlementOf('a', 200, [total]), NOON)
    book.markFlushed(['a'], NOON)
    expect(book.settle(settlementOf('a', 200, [total]), NOON + 29 * 60_000)).toBe(false)
    expect(book.totals(total, NOON).settled).toBe(200)
    expect(book.unflushedCount()).toBe(0)
  })

  it('extends a hold, and refuses more to a call that nobody knows', () => {
    const book = open()
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 600 }), NOON)
    expect(book.extend({ requestId: 'a', amountNanoUsd: 400, budgets: [total] }, NOON)).toEqual({ ok: true })
    expect(book.extend({ requestId: 'a', amountNanoUsd: 1, budgets: [total] }, NOON)).toMatchObject({ ok: false })
    book.release('a')
    expect(book.extend({ requestId: 'a', amountNanoUsd: 1, budgets: [total] }, NOON)).toMatchObject({ ok: false })
    expect(book.totals(total, NOON)).toEqual({ settled: 0, held: 0, ghost: 0 })
  })

  it('holds the whole in a budget that a call comes to need, and gives all of it back', () => {
    const [ours, theirs] = [budgetOf(1000), budgetOf(1000, 'day')]
    for (const wanted of [[theirs], [ours, theirs]]) {
      const book = open()
      const heldIn = () => [ours, theirs].map((budget) => book.totals(budget, NOON).held)
      book.hold(holdOf('other', { budgets: [ours, theirs], amountNanoUsd: 300 }), NOON)
      book.hold(holdOf('a', { budgets: [ours], amountNanoUsd: 100 }), NOON)
      expect(book.extend({ requestId: 'a', amountNanoUsd: 50, budgets: wanted }, NOON)).toEqual({ ok: true })
      expect(heldIn()).toEqual([wanted.includes(ours) ? 450 : 300, 450])
      expect(book.extend({ requestId: 'a', amountNanoUsd: 600, budgets: wanted }, NOON)).toMatchObject({ ok: false })
      expect(heldIn()).toEqual([wanted.includes(ours) ? 450 : 300, 450])
      book.settle(settlementOf('a', 20, [theirs]), NOON)
      expect(heldIn()).toEqual([300, 300])
    }
  })

  it('reserves nothing for an extension that one of its budgets has no room for', () => {
    const book = open()
    const small = budgetOf(100, 'day')
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 90 }), NOON)
    expect(book.extend({ requestId: 'a', amountNanoUsd: 20, budgets: [total, small] }, NOON)).toMatchObject({
      ok: false,
      budgetId: small.id,
    })
    expect([total, small].map((budget) => book.totals(budget, NOON).held)).toEqual([90, 0])
  })

  it('knows the calls that it booked, in whatever order, in this life and the last', () => {
    const storage = sqliteStorage()
    const book = open(storage)
    expect(book.knows('m')).toBe(false)
    for (const id of ['m', 'c', 'x']) book.settle(settlementOf(id, 1, [total]), NOON)
    const known = (asked: typeof book) => ['a', 'c', 'd', 'm', 'n', 'x', 'z'].filter((id) => asked.knows(id))
    expect(known(book)).toEqual(['c', 'm', 'x'])
    const next = open(storage)
    expect(known(next)).toEqual(['c', 'm', 'x'])
    next.settle(settlementOf('z', 1, [total]), NOON)
    expect(known(next)).toEqual(['c', 'm', 'x', 'z'])
  })

  it('knows who is overdue and when the next will be', () => {
    const book = open()
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 1, deadlineMs: NOON + 10 }), NOON)
    book.hold(holdOf('b', { budgets: [total], amountNanoUsd: 1, deadlineMs: NOON + 5 }), NOON)
    expect(book.nextOverdueMs()).toBe(NOON + 5 + GRACE_MS)
    expect(book.overdue(NOON + 5 + GRACE_MS).map(({ facts }) => facts.request_id)).toEqual(['b'])
    expect(book.overdue(NOON + 4 + GRACE_MS)).toEqual([])
  })

  it('keeps what storage refuses out of its memory too', () => {
    const storage = sqliteStorage()
    const book = open(storage)
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 600 }), NOON)
    const broken = { ...settlementOf('a', 200, [total]) }
    storage.exec('alter table spent rename to elsewhere')
    expect(() => book.settle(broken, NOON)).toThrow()
    storage.exec('alter table elsewhere rename to spent')
    expect(book.totals(total, NOON)).toEqual({ settled: 0, held: 600, ghost: 0 })
    expect(book.unflushedCount()).toBe(0)
    expect(book.settle(broken, NOON)).toBe(true)
    expect(book.totals(total, NOON)).toEqual({ settled: 200, held: 0, ghost: 0 })
  })

  it('writes names that Postgres cannot store in a form that it can', () => {
    const book = open()
    const settlement = settlementOf('a', 1)
    book.settle({ ...settlement, row: { ...settlement.row, model: 'a\0b\ud800c' } }, NOON)
    expect(JSON.parse(book.unflushed(1)[0]?.rowText ?? '').model).toBe('a\ufffdb\ufffdc')
    expect(book.unflushed(1)[0]?.rowText).not.toMatch(/\\u/)
  })
})

describe('windows', () => {
  it.each([
    { window: 'day' as const, nextMs: DAY_MS },
    { window: 'month' as const, nextMs: DAY_MS },
    { window: 'rolling_30d' as const, nextMs: 30 * DAY_MS },
  ])('frees a $window budget when its window has passed, and keeps its holds', ({ window, nextMs }) => {
    const book = open()
    const budget = budgetOf(1000, window)
    book.settle(settlementOf('a', 900, [budget]), NOON)
    book.hold(holdOf('b', { budgets: [budget], amountNanoUsd: 100, deadlineMs: NOON + nextMs }), NOON)
    expect(book.totals(budget, NOON + nextMs - DAY_MS / 2 - 1).settled).toBe(900)
    expect(book.totals(budget, NOON + nextMs)).toEqual({ settled: 0, held: 100, ghost: 0 })
    book.settle(settlementOf('b', 70, [budget]), NOON + nextMs)
    expect(book.totals(budget, NOON + nextMs)).toEqual({ settled: 70, held: 0, ghost: 0 })
  })

  it('never frees a total budget', () => {
    const book = open()
    book.settle(settlementOf('a', 900, [total]), NOON)
    expect(book.totals(total, NOON + 1000 * DAY_MS).settled).toBe(900)
  })
})

describe('a book after a crash', () => {
  it('counts everything up to the mark until the calls of the last life are accounted for, however long that takes', () => {
    const storage = sqliteStorage()
    open(storage).hold(holdOf('a', { budgets: [total], amountNanoUsd: 600, deadlineMs: NOON + 5000 }), NOON)
    const book = open(storage)
    const { ghost } = book.totals(total, NOON)
    expect(ghost).toBeGreaterThanOrEqual(600)
    expect(ghost).toBeLessThanOrEqual(610)
    const until = book.hauntedUntilMs() ?? 0
    expect(until).toBeGreaterThanOrEqual(NOON + 5000 + GRACE_MS)
    expect(until).toBeLessThanOrEqual(NOON + 5000 + 2 * GRACE_MS)
    expect(book.totals(total, until).ghost).toBe(ghost)
    book.forgetGhosts()
    expect(book.totals(total, until).ghost).toBe(0)
  })

  it('pays a call of the last life out of its ghost', () => {
    const storage = sqliteStorage()
    open(storage).hold(holdOf('a', { budgets: [total], amountNanoUsd: 1000 }), NOON)
    const book = open(storage)
    expect(book.settle(settlementOf('a', 300, [total]), NOON)).toBe(true)
    expect(book.totals(total, NOON)).toEqual({ settled: 300, held: 0, ghost: 700 })
  })

  it('leaves the ghost alone for what a call of this life has paid for on its way', () => {
    const storage = sqliteStorage()
    open(storage).hold(holdOf('lost', { budgets: [total], amountNanoUsd: 400 }), NOON)
    const book = open(storage)
    const { ghost } = book.totals(total, NOON)
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 300 }), NOON)
    const { row, ...rest } = settlementOf('part', 100, [total])
    book.settle({ ...rest, row: { ...row, parent_request_id: 'a' } }, NOON)
    expect(book.totals(total, NOON)).toEqual({ settled: 100, held: 300, ghost })
    book.settle(settlementOf('a', 0, [total]), NOON)
    expect(book.totals(total, NOON)).toEqual({ settled: 100, held: 0, ghost })
  })

  it('lets calls of the last life extend, each slice once', () => {
    const storage = sqliteStorage()
    const life = open(storage)
    life.hold(holdOf('a', { budgets: [total], amountNanoUsd: 500 }), NOON)
    life.hold(holdOf('b', { budgets: [total], amountNanoUsd: 380 }), NOON)
    const book = open(storage)
    const left = 1000 - book.totals(total, NOON).ghost
    expect(left).toBeGreaterThanOrEqual(100)
    expect(book.extend({ requestId: 'a', amountNanoUsd: left, budgets: [total] }, NOON)).toEqual({ ok: true })
    expect(book.extend({ requestId: 'b', amountNanoUsd: left, budgets: [total] }, NOON)).toMatchObject({ ok: false })
  })

  it('covers those who still hold when another call costs more than it held', () => {
    const storage = sqliteStorage()
    const life = open(storage)
    life.hold(holdOf('a', { budgets: [total], amountNanoUsd: 10 }), NOON)
    life.hold(holdOf('b', { budgets: [total], amountNanoUsd: 40 }), NOON)
    life.settle(settlementOf('a', 500, [total]), NOON)
    expect(open(storage).totals(total, NOON).ghost).toBeGreaterThanOrEqual(40)
  })

  it('inherits no more, and for no longer, through lives in which every call was booked', () => {
    const storage = sqliteStorage()
    open(storage).hold(holdOf('lost', { budgets: [total], amountNanoUsd: 100 }), NOON)
    const until = open(storage).hauntedUntilMs()
    for (let life = 1; life <= 200; life += 1) {
      const nowMs = NOON + life * 10
      const book = open(storage)
      const call = holdOf(`call_${life}`, { budgets: [total], amountNanoUsd: 50, deadlineMs: nowMs + 60_000 })
      expect(book.hold(call, nowMs)).toEqual({ ok: true })
      expect(book.settle(settlementOf(`call_${life}`, 1, [total]), nowMs)).toBe(true)
      book.clearMarks()
    }
    const heir = open(storage)
    expect(heir.hauntedUntilMs()).toBe(until)
    expect(heir.totals(total, NOON + 2000)).toEqual({ settled: 200, held: 0, ghost: 110 })
  })

  it('lowers no mark under what is held', () => {
    const storage = sqliteStorage()
    open(storage).hold(holdOf('lost', { budgets: [total], amountNanoUsd: 100 }), NOON)
    const book = open(storage)
    book.hold(holdOf('a', { budgets: [total], amountNanoUsd: 300 }), NOON)
    book.clearMarks()
    expect(open(storage).totals(total, NOON).ghost).toBeGreaterThanOrEqual(400)
    book.release('a')
    book.clearMarks()
    book.hold(holdOf('b', { budgets: [total], amountNanoUsd: 200 }), NOON)
    expect(open(storage).totals(total, NOON).ghost).toBeGreaterThanOrEqual(300)
  })

  it('forgets nothing of an idle life, and keeps the marks while somebody is missing', () => {
    const storage = sqliteStorage()
    const life = open(storage)
    life.hold(holdOf('a', { budgets: [total], amountNanoUsd: 500 }), NOON)
    life.clearMarks()
    const second = open(storage)
    second.clearMarks()
    expect(open(storage).hauntedUntilMs()).toBeDefined()
    second.forgetGhosts()
    second.clearMarks()
    expect(open(storage).hauntedUntilMs()).toBeUndefined()
    expect(open(storage).totals(total, NOON)).toEqual({ settled: 0, held: 0, ghost: 0 })
  })
})
