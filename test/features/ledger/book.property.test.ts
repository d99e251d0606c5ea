import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { BudgetRef, HoldRequest } from '../../../src/core/ledger.ts'
import { bucketOf, firstBucketOf } from '../../../src/core/windows.ts'
import type { Book } from '../../../src/features/ledger/book.ts'
import { count } from '../../support/lane.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { bookOver, budgetOf, DAY_MS, holdOf, NOON, settlementOf } from './calls.ts'

const GRACE_MS = 1000
const LIFE_MS = 20_000
const BUDGETS: readonly BudgetRef[] = [
  budgetOf(3000, 'total'),
  budgetOf(1000, 'day'),
  budgetOf(1500, 'month'),
  budgetOf(2000, 'rolling_30d'),
]

/** What must be true of the books, kept in the plainest way: a list of spendings and of the calls of each life. */
type Model = {
  nowMs: number
  /** The latest that it ever was. */
  latestMs: number
  spendings: { budgetId: string; bucket: string; amount: number }[]
  booked: Map<string, number>
  /** Calls that hold in this life. */
  held: Map<string, HoldRequest>
  /** Calls of an earlier life that may still settle. */
  missing: Map<string, HoldRequest>
}
type Real = { storage: ReturnType<typeof sqliteStorage>; book: Book; nextId: number }

const settledOf = (model: Model, budget: BudgetRef) =>
  model.spendings
    .filter(({ budgetId, bucket }) => budgetId === budget.id && bucket >= firstBucketOf(budget.window, model.nowMs))
    .reduce((sum, { amount }) => sum + amount, 0)

const sumOf = (calls: Iterable<HoldRequest>, budget: BudgetRef) =>
  [...calls]
    .filter(({ budgets }) => budgets.some(({ id }) => id === budget.id))
    .reduce((sum, { amountNanoUsd }) => sum + amountNanoUsd, 0)

function check(model: Model, { book }: Real): void {
  for (const budget of BUDGETS) {
    const totals = book.totals(budget, model.nowMs)
    expect(totals.settled).toBe(settledOf(model, budget))
    expect(totals.held).toBe(sumOf(model.held.values(), budget))
    // Whoever is missing and may still be alive is covered.
    const alive = [...model.missing.values()].filter(({ deadlineMs }) => deadlineMs + GRACE_MS > model.nowMs)
    expect(totals.ghost).toBeGreaterThanOrEqual(sumOf(alive, budget))
  }
  expect(book.openHolds()).toBe(model.held.size)
  expect(book.unflushedCount()).toBe(book.unflushed(10_000).length)
}

function bookIn(model: Model, { facts, budgets }: HoldRequest, cost: number): void {
  model.booked.set(facts.request_id, cost)
  model.held.delete(facts.request_id)
  model.missing.delete(facts.request_id)
  for (const { id, window } of budgets) {
    model.spendings.push({ budgetId: id, bucket: bucketOf(window, model.nowMs), amount: cost })
  }
}

type Step = (model: Model, real: Real) => void

const nth = <T>(items: Iterable<T>, pick: number): T | undefined => {
  const list = [...items]
  return list[pick % Math.max(1, list.length)]
}

function holdStep(amount: number, mask: number): Step {
  return (model, real) => {
    const budgets = BUDGETS.filter((_, at) => mask & (1 << at))
    const request = holdOf(`r${real.nextId++}`, {
      budgets,
      amountNanoUsd: amount,
      deadlineMs: model.nowMs + LIFE_MS,
    })
    const left = budgets.map((budget) => {
      const { settled, held, ghost } = real.book.totals(budget, model.nowMs)
      return budget.limitNanoUsd - settled - held - ghost
    })
    const answer = real.book.hold(request, model.nowMs)
    expect(answer.ok).toBe(left.every((rest) => amount <= rest))
    if (!answer.ok) return
    model.held.set(request.facts.request_id, { ...request })
    for (const budget of budgets) {
      const { settled, held, ghost } = real.book.totals(budget, model.nowMs)
      expect(settled + held + ghost).toBeLessThanOrEqual(budget.limitNanoUsd)
    }
  }
}

/** A call of this life, or one that an earlier life left behind. */
const anyCall = (model: Model, pick: number) => nth([...model.held.values(), ...model.missing.values()], pick)

const settleStep =
  (pick: number, share: number): Step =>
  (model, real) => {
    const call = anyCall(model, pick)
    if (!call) return
    const cost = Math.floor(call.amountNanoUsd * share)
    expect(real.book.settle(settlementOf(call.facts.request_id, cost, call.budgets), model.nowMs)).toBe(true)
    bookIn(model, call, cost)
  }

const settleAgainStep =
  (pick: number): Step =>
  (model, real) => {
    const id = nth(model.booked.keys(), pick)
    if (id === undefined) return
    expect(real.book.settle(settlementOf(id, 77, BUDGETS), model.nowMs)).toBe(false)
  }

const extendStep =
  (pick: number, amount: number): Step =>
  (model, real) => {
    const call = anyCall(model, pick)
    if (!call) return
    const { facts, budgets } = call
    const answer = real.book.extend({ requestId: facts.request_id, amountNanoUsd: amount, budgets }, model.nowMs)
    if (!answer.ok) return
    call.amountNanoUsd += amount
    for (const budget of budgets) {
      const { settled, held, ghost } = real.book.totals(budget, model.nowMs)
      expect(settled + held + ghost).toBeLessThanOrEqual(budget.limitNanoUsd)
    }
  }

const releaseStep =
  (pick: number): Step =>
  (model, real) => {
    const id = nth(model.held.keys(), pick)
    if (id === undefined) return
    real.book.release(id)
    model.held.delete(id)
  }

/** What the object's alarm does. */
const wakeStep: Step = (model, real) => {
  for (const call of real.book.overdue(model.nowMs)) {
    const { request_id } = call.facts
    expect(real.book.settle(settlementOf(request_id, call.amountNanoUsd, call.budgets), model.nowMs)).toBe(true)
    bookIn(model, call, call.amountNanoUsd)
  }
  const until = real.book.hauntedUntilMs()
  if (until !== undefined && until <= model.nowMs) {
    expect([...model.missing.values()].filter(({ deadlineMs }) => deadlineMs + GRACE_MS > model.nowMs)).toEqual([])
    model.missing.clear()
    real.book.forgetGhosts()
  }
  real.book.clearMarks()
}

const crashStep: Step = (model, real) => {
  for (const [id, call] of model.held) model.missing.set(id, call)
  model.held.clear()
  real.book = bookOver(real.storage, { graceMs: GRACE_MS, budgets: BUDGETS })
}

const passStep =
  (ms: number): Step =>
  (model) => {
    model.nowMs += ms
    model.latestMs = Math.max(model.latestMs, model.nowMs)
  }

const flushStep: Step = (model, real) => {
  const entries = real.book.unflushed(5)
  for (const { requestId, rowText } of entries) {
    expect(JSON.parse(rowText).cost_nanos).toBe(model.booked.get(requestId))
  }
  real.book.markFlushed(
    entries.map(({ requestId }) => requestId),
    model.nowMs,
  )
}

const pick = fc.nat({ max: 50 })
const amount = fc.integer({ min: 0, max: 400 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(amount, fc.integer({ min: 1, max: 15 })).map(([nanos, mask]) => holdStep(nanos, mask)),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(pick, fc.double({ min: 0, max: 1, noNaN: true })).map(([at, share]) => settleStep(at, share)),
  },
  { weight: 1, arbitrary: pick.map(settleAgainStep) },
  { weight: 2, arbitrary: fc.tuple(pick, amount).map(([at, nanos]) => extendStep(at, nanos)) },
  { weight: 1, arbitrary: pick.map(releaseStep) },
  { weight: 2, arbitrary: fc.constant(wakeStep) },
  { weight: 1, arbitrary: fc.constant(crashStep) },
  { weight: 1, arbitrary: fc.constant(flushStep) },
  {
    weight: 2,
    arbitrary: fc.oneof(fc.integer({ min: 1, max: LIFE_MS }), fc.constantFrom(DAY_MS, 31 * DAY_MS)).map(passStep),
  },
  {
    weight: 1,
    // A clock that is put back: by a little, and into an earlier day.
    arbitrary: fc.oneof(fc.integer({ min: 1, max: LIFE_MS }), fc.constant(DAY_MS)).map((ms) => passStep(-ms)),
  },
)

it('keeps every budget exact through holds, extensions, settlements, crashes, windows and a clock put back', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const storage = sqliteStorage()
      const real: Real = { storage, book: bookOver(storage, { graceMs: GRACE_MS, budgets: BUDGETS }), nextId: 1 }
      const clock = { nowMs: NOON, latestMs: NOON }
      const model: Model = { ...clock, spendings: [], booked: new Map(), held: new Map(), missing: new Map() }
      for (const run of steps) {
        run(model, real)
        check(model, real)
      }
      // Whatever happened: once every deadline has passed nothing is held, and the money is where it was booked.
      model.nowMs = model.latestMs + LIFE_MS * 4
      wakeStep(model, real)
      for (const budget of BUDGETS) {
        expect(real.book.totals(budget, model.nowMs)).toEqual({ settled: settledOf(model, budget), held: 0, ghost: 0 })
      }
      crashStep(model, real)
      expect(real.book.hauntedUntilMs()).toBeUndefined()
    }),
    { numRuns: count(300, 5000), seed: 20_260_131, endOnFailure: false },
  )
}, 120_000)
