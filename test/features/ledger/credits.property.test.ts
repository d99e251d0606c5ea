import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { BudgetRef } from '../../../src/core/ledger.ts'
import { count } from '../../support/lane.ts'
import { budgetOf, DAY_MS, NOON } from './calls.ts'
import { type Call, type Fault, type Isolate, isolatesWorld, type Listing } from './isolates.ts'
import { GRACE_MS } from './world.ts'

const LIFE_MS = 20_000
const LIMIT = 1_000_000
const BUDGETS: readonly BudgetRef[] = [budgetOf(LIMIT, 'total'), budgetOf(LIMIT / 2, 'day')]
/** Clocks of isolates are so far off at most: one that is put back by five seconds while nobody calls draws too late. */
const OFF_MS = 2400
/** What a script still does so long after its answer was given up. */
const LATE_MS = 2000
const AGES_MS = 10 * (LIFE_MS + GRACE_MS)

type Run = { real: ReturnType<typeof isolatesWorld>; isolates: Isolate[] }
type Step = (run: Run) => Promise<void> | void

/** The step, with what fast-check shows of it when it fails. */
const shown =
  <T extends unknown[]>(name: string, make: (...given: T) => Step) =>
  (...given: T): Step =>
    Object.assign(make(...given), { [fc.toStringMethod]: () => `${name}(${JSON.stringify(given)})` })

const nth = <T>(items: Iterable<T>, pick: number): T | undefined => {
  const list = [...items]
  return list[pick % Math.max(1, list.length)]
}
const costOf = ({ amountNanoUsd }: Call, share: number) => Math.floor(amountNanoUsd * share)

/** Nobody who runs is without money, and all of it together is within every limit. */
async function check({ real }: Run): Promise<void> {
  const alive = [...real.running.values()].reduce((sum, { amountNanoUsd }) => sum + amountNanoUsd, 0)
  const spends = await real.world.ledger.spend(BUDGETS)
  for (const [at, { settledNanoUsd, heldNanoUsd }] of spends.entries()) {
    expect(heldNanoUsd).toBeGreaterThanOrEqual(alive)
    expect(settledNanoUsd + heldNanoUsd).toBeLessThanOrEqual(BUDGETS[at]?.limitNanoUsd ?? 0)
  }
}

type Made = { isolate: number; isBusy: boolean; calls: number; amountNanoUsd: number; listing: Listing }

const startStep =
  ({ isolate, isBusy, calls, amountNanoUsd, listing }: Made): Step =>
  async ({ real, isolates }) => {
    const by = nth(isolates, isolate)
    if (!by) return
    if (isBusy) real.makeBusy(by)
    for (let at = 0; at < calls; at++) await real.start(by, { amountNanoUsd, lifeMs: LIFE_MS - at * 700, listing })
  }

const settleStep =
  (pick: number, share: number): Step =>
  async ({ real }) => {
    const call = nth(real.running.values(), pick)
    if (call) await real.settle(call.request.facts.request_id, costOf(call, share))
  }

const named =
  (act: 'kill' | 'release', pick: number): Step =>
  async ({ real }) => {
    const id = nth(real.running.keys(), pick)
    if (id !== undefined) await real[act](id)
  }

const extendStep =
  (pick: number, amountNanoUsd: number): Step =>
  async ({ real }) => {
    const id = nth(real.running.keys(), pick)
    if (id !== undefined) await real.extend(id, amountNanoUsd)
  }

/** It dies with all its calls and all its credit, and another takes its place. */
const killIsolateStep =
  (pick: number): Step =>
  ({ real, isolates }) => {
    const gone = nth(isolates, pick)
    if (!gone) return
    for (const [id, { isolate }] of real.running) if (isolate === gone) real.kill(id)
    isolates[isolates.indexOf(gone)] = real.isolate(gone.aheadMs)
  }

const clockStep =
  (pick: number, aheadMs: number): Step =>
  ({ isolates }) => {
    const isolate = nth(isolates, pick)
    if (isolate) isolate.aheadMs = aheadMs
  }

/** Whoever's time is over by then ends before. */
const passStep =
  (ms: number): Step =>
  async ({ real }) => {
    const { state } = real.world
    for (const [id, call] of real.running) {
      if (call.request.deadlineMs - call.isolate.aheadMs <= state.nowMs + ms) await real.settle(id, costOf(call, 1 / 2))
    }
    await real.world.pass(Math.min(ms, LATE_MS))
    real.listLate()
    await real.world.pass(Math.max(0, ms - LATE_MS))
  }

type Traffic = { isolate: number; rounds: number; roundMs: number; amountNanoUsd: number; listing: Listing }

/** An isolate that stays busy: calls come and go, and now and then one of them is lost. */
const trafficStep =
  ({ isolate, rounds, roundMs, amountNanoUsd, listing }: Traffic): Step =>
  async (run) => {
    for (let round = 0; round < rounds; round++) {
      await startStep({ isolate, isBusy: true, calls: 3, amountNanoUsd, listing })(run)
      await check(run)
      await passStep(roundMs)(run)
      await settleStep(round, 1 / 2)(run)
      await check(run)
    }
  }

const crashStep: Step = ({ real }) => real.crash()
const faultStep =
  (fault: Fault): Step =>
  ({ real }) =>
    void real.faults.push(fault)
const redisStep =
  (isAway: boolean): Step =>
  ({ real }) => {
    real.world.state.redisAway = isAway
  }

/** Whatever happened: nothing is held, everybody is booked once and for no more than they held, and nobody else is. */
async function checkEnd({ real }: Run): Promise<void> {
  const { world, running, killed, withdrawn, settled } = real
  const { state } = world
  real.faults.length = 0
  state.redisAway = false
  for (const [id, call] of running) await real.settle(id, costOf(call, 1 / 3))
  real.listLate()
  await world.pass(AGES_MS)
  // Who was listed when it had long ended is found when somebody else has ended.
  await real.start(real.isolate(), { amountNanoUsd: 0, lifeMs: LIFE_MS })
  for (const id of running.keys()) await real.settle(id, 0)
  await world.pass(AGES_MS)
  const spends = await world.ledger.spend(BUDGETS)
  expect(spends.map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([0, 0])
  expect([...state.open.keys()]).toEqual([])
  expect(state.alarmMs).toBeUndefined()
  for (const [id, cost] of settled) expect(state.rows.get(id)).toMatchObject({ status: 'ok', cost_nanos: cost })
  for (const [id, { mostNanoUsd, isForgotten }] of killed) {
    const row = state.rows.get(id)
    if (isForgotten && !row) continue
    expect([id, row?.status]).toEqual([id, 'unknown'])
    expect(row?.cost_nanos).toBeLessThanOrEqual(mostNanoUsd)
  }
  for (const [id, isTold] of withdrawn) if (isTold) expect(state.rows.get(id)).toBeUndefined()
  const booked = [...state.rows.values()].reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
  expect(spends[0]?.settledNanoUsd).toBe(booked)
  world.crash()
  const afterwards = await world.ledger.spend(BUDGETS)
  expect(afterwards.map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([0, 0])
}

const pick = fc.nat({ max: 30 })
const share = fc.double({ min: 0, max: 1, noNaN: true })
const amount = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 1, arbitrary: fc.constantFrom(LIMIT / 4, LIMIT / 2) },
)
const starts = fc
  .record({
    isolate: pick,
    isBusy: fc.boolean(),
    calls: fc.integer({ min: 1, max: 8 }),
    amountNanoUsd: amount,
    listing: fc.constantFrom<Listing>('prompt', 'prompt', 'prompt', 'late', 'never'),
  })
  .map(shown('start', startStep))
const passes = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 3000 }) },
    { weight: 3, arbitrary: fc.integer({ min: 3000, max: 12_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(LIFE_MS, LIFE_MS + GRACE_MS) },
  )
  .map(shown('pass', passStep))
const traffic = fc
  .record({
    isolate: pick,
    rounds: fc.integer({ min: 2, max: 12 }),
    roundMs: fc.integer({ min: 500, max: 2500 }),
    amountNanoUsd: fc.integer({ min: 1, max: 300 }),
    listing: fc.constantFrom<Listing>('prompt', 'prompt', 'prompt', 'late'),
  })
  .map(shown('traffic', trafficStep))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: starts },
  { weight: 2, arbitrary: traffic },
  { weight: 4, arbitrary: fc.tuple(pick, share).map(([at, part]) => shown('settle', settleStep)(at, part)) },
  { weight: 1, arbitrary: pick.map((at) => shown('end', named)('release', at)) },
  { weight: 2, arbitrary: pick.map((at) => shown('end', named)('kill', at)) },
  { weight: 1, arbitrary: fc.tuple(pick, amount).map(([at, nanos]) => shown('extend', extendStep)(at, nanos)) },
  { weight: 1, arbitrary: pick.map(shown('killIsolate', killIsolateStep)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(pick, fc.integer({ min: -OFF_MS, max: OFF_MS }))
      .map(([at, ms]) => shown('clock', clockStep)(at, ms)),
  },
  { weight: 1, arbitrary: fc.constant(shown('crash', () => crashStep)()) },
  { weight: 2, arbitrary: fc.constantFrom<Fault>('none', 'not asked', 'not told').map(shown('fault', faultStep)) },
  { weight: 1, arbitrary: fc.boolean().map(shown('redisAway', redisStep)) },
  { weight: 6, arbitrary: passes },
)

it('leaves credit without a loss, whoever dies, hears nothing, comes late or has a clock that is off', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const real = isolatesWorld(BUDGETS)
      // Half a minute before a day turns.
      real.world.state.nowMs = NOON + DAY_MS / 2 - 30_000
      const run: Run = { real, isolates: [real.isolate(), real.isolate(OFF_MS), real.isolate(-OFF_MS)] }
      for (const act of steps) {
        await act(run)
        await check(run)
      }
      await checkEnd(run)
    }),
    { numRuns: count(100, 5000), seed: 20_261_122, endOnFailure: false },
  )
}, 120_000)
