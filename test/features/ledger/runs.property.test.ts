import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { BudgetRef } from '../../../src/core/ledger.ts'
import { count } from '../../support/lane.ts'
import { budgetOf, holdOf, settlementOf, settleOne } from './calls.ts'
import { GRACE_MS, ledgerWorld } from './world.ts'

const LIFE_MS = 20_000
/** Each run's parent stands before it. */
const PARENTS = [null, 0, 0, 1, 3, null, 5] as const
const nameOf = (at: number) => `run${at}`
const refOf = (at: number): BudgetRef => budgetOf(0, 'total', `bud_run_${nameOf(at)}`)
/** A budget of everybody, in which every call counts, too. */
const everybody = budgetOf(4000, 'total', 'bud_all')

/** The run and those above it. */
function above(at: number): number[] {
  const parent = PARENTS[at]
  return parent === null || parent === undefined ? [at] : [at, ...above(parent)]
}

type Call = { at: number; amount: number; budgets: readonly BudgetRef[]; deadlineMs: number }

/** What must be true, kept in the plainest way: what each call cost or holds, and by which run. */
type Model = {
  limits: number[]
  booked: Map<string, { at: number; cost: number }>
  held: Map<string, Call>
  /** Calls of an earlier life that may still settle. */
  missing: Map<string, Call>
  /** Until the first crash what is held is known exactly. */
  hasCrashed: boolean
}
type World = ReturnType<typeof ledgerWorld>
type Step = (world: World, model: Model, id: string) => Promise<void>

const sumOver = <T extends { at: number }>(calls: Iterable<T>, at: number, of: (call: T) => number): number =>
  [...calls].filter((call) => above(call.at).includes(at)).reduce((sum, call) => sum + of(call), 0)

const nth = <T>(items: Iterable<T>, pick: number): T | undefined => {
  const list = [...items]
  return list[pick % Math.max(1, list.length)]
}

const setLimit = ({ state }: World, model: Model, at: number, limitNanoUsd: number): void => {
  const parent = PARENTS[at]
  model.limits[at] = limitNanoUsd
  const parentId = parent === null || parent === undefined ? null : nameOf(parent)
  state.runs.set(nameOf(at), { limitNanoUsd, parentId, isOver: false })
}

async function check(world: World, model: Model): Promise<void> {
  const spent = await world.ledger.spend([...PARENTS.map((_parent, at) => refOf(at)), everybody])
  const all = [...model.booked.values()]
  for (const [at, { settledNanoUsd, heldNanoUsd }] of spent.entries()) {
    const isRun = at < PARENTS.length
    const settled = isRun ? sumOver(all, at, ({ cost }) => cost) : all.reduce((sum, { cost }) => sum + cost, 0)
    expect(settledNanoUsd).toBe(settled)
    const alive = [...model.held.values(), ...model.missing.values()].filter(
      ({ deadlineMs }) => deadlineMs + GRACE_MS > world.state.nowMs,
    )
    const held = isRun ? sumOver(alive, at, ({ amount }) => amount) : alive.reduce((sum, { amount }) => sum + amount, 0)
    if (model.hasCrashed) expect(heldNanoUsd).toBeGreaterThanOrEqual(held)
    else expect(heldNanoUsd).toBe(held)
  }
}

const holdStep =
  (at: number, amount: number): Step =>
  async (world, model, id) => {
    const before = await world.ledger.spend([...above(at).map(refOf), everybody])
    const limits = [...above(at).map((one) => model.limits[one] ?? 0), everybody.limitNanoUsd]
    const fits = before.every(
      ({ settledNanoUsd, heldNanoUsd }, place) => settledNanoUsd + heldNanoUsd + amount <= (limits[place] ?? 0),
    )
    const deadlineMs = world.state.nowMs + LIFE_MS
    const request = holdOf(id, { budgets: [everybody], amountNanoUsd: amount, deadlineMs })
    const named = { ...request, facts: { ...request.facts, run_id: nameOf(at) } }
    world.state.open.set(id, JSON.stringify(named))
    const answer = await world.ledger.hold(named)
    expect(answer.ok).toBe(fits)
    const after = await world.ledger.spend([...above(at).map(refOf), everybody])
    if (!answer.ok) {
      world.state.open.delete(id)
      expect(after).toEqual(before)
      return
    }
    model.held.set(id, { at, amount, budgets: [everybody, ...(answer.runBudgets ?? [])], deadlineMs })
    for (const [place, { settledNanoUsd, heldNanoUsd }] of after.entries()) {
      expect(settledNanoUsd + heldNanoUsd).toBeLessThanOrEqual(limits[place] ?? 0)
    }
  }

const callsOf = (model: Model) => [...model.held, ...model.missing]

const extendStep =
  (pick: number, amount: number): Step =>
  async (world, model) => {
    const [id, call] = nth(callsOf(model), pick) ?? []
    if (id === undefined || !call) return
    const answer = await world.ledger.extend({ requestId: id, amountNanoUsd: amount, budgets: call.budgets })
    if (!answer.ok) return
    call.amount += amount
  }

const settleStep =
  (pick: number, share: number): Step =>
  async (world, model) => {
    const [id, call] = nth(callsOf(model), pick) ?? []
    if (id === undefined || !call) return
    await book(world, model, { id, call, cost: Math.floor(call.amount * share) })
  }

async function book(world: World, model: Model, given: { id: string; call: Call; cost: number }): Promise<void> {
  const { id, call, cost } = given
  const { row, ...settlement } = settlementOf(id, cost, call.budgets)
  expect(await settleOne(world.ledger, { ...settlement, row: { ...row, run_id: nameOf(call.at) } })).toBe(true)
  expect(await settleOne(world.ledger, { ...settlement, row: { ...row, run_id: nameOf(call.at) } })).toBe(false)
  model.booked.set(id, { at: call.at, cost })
  model.held.delete(id)
  model.missing.delete(id)
}

const releaseStep =
  (pick: number): Step =>
  async (world, model) => {
    const id = nth(model.held.keys(), pick)
    if (id === undefined) return
    await world.ledger.release(id)
    world.state.open.delete(id)
    model.held.delete(id)
  }

const limitStep =
  (at: number, limit: number): Step =>
  async (world, model) => {
    setLimit(world, model, at, limit)
    await world.ledger.forgetRun(nameOf(at))
  }

const crashStep: Step = async (world, model) => {
  for (const [id, call] of model.held) model.missing.set(id, call)
  model.held.clear()
  model.hasCrashed = true
  world.crash()
}

/** Lets the alarms ring; calls whose time has come are booked by the ledger itself, at what they held at the most. */
const passStep =
  (ms: number): Step =>
  async (world, model) => {
    await world.pass(ms)
    for (const [id, call] of callsOf(model)) {
      const row = world.state.rows.get(id)
      if (!row) continue
      expect(row).toMatchObject({ status: 'unknown', run_id: nameOf(call.at) })
      expect(row.cost_nanos).toBeLessThanOrEqual(call.amount)
      model.booked.set(id, { at: call.at, cost: row.cost_nanos })
      model.held.delete(id)
      model.missing.delete(id)
    }
  }

const run = fc.nat({ max: PARENTS.length - 1 })
const pick = fc.nat({ max: 50 })
const amount = fc.integer({ min: 0, max: 300 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(run, amount).map(([at, nanos]) => holdStep(at, nanos)) },
  {
    weight: 4,
    arbitrary: fc.tuple(pick, fc.double({ min: 0, max: 1, noNaN: true })).map(([at, share]) => settleStep(at, share)),
  },
  { weight: 2, arbitrary: fc.tuple(pick, amount).map(([at, nanos]) => extendStep(at, nanos)) },
  { weight: 1, arbitrary: pick.map(releaseStep) },
  { weight: 1, arbitrary: fc.tuple(run, fc.nat({ max: 2000 })).map(([at, limit]) => limitStep(at, limit)) },
  { weight: 1, arbitrary: fc.constant(crashStep) },
  { weight: 1, arbitrary: fc.constantFrom(100, 1500, LIFE_MS).map(passStep) },
)

it('keeps a tree of runs exact through holds, extensions, settlements, changes and crashes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const world = ledgerWorld()
      const limits = PARENTS.map((_parent, at) => 300 * (PARENTS.length - at))
      const model: Model = { limits, booked: new Map(), held: new Map(), missing: new Map(), hasCrashed: false }
      for (const [at, limit] of limits.entries()) setLimit(world, model, at, limit)
      for (const [at, take] of steps.entries()) {
        await take(world, model, `call${at}`)
        await check(world, model)
      }
      // Whatever happened: in the end nothing is held, and each level has what its calls cost.
      await passStep(LIFE_MS * 6)(world, model, '')
      expect([model.held.size, model.missing.size]).toEqual([0, 0])
      await check(world, model)
      const rest = await world.ledger.spend([...PARENTS.map((_parent, at) => refOf(at)), everybody])
      expect(rest.map(({ heldNanoUsd }) => heldNanoUsd)).toEqual(rest.map(() => 0))
      const rows = [...world.state.rows.values()].reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
      expect(rest.at(-1)?.settledNanoUsd).toBe(rows)
    }),
    { numRuns: count(100, 2000), seed: 20_260_207, endOnFailure: false },
  )
})
