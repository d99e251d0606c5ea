import { describe, expect, it } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'
import { createStrays } from '../../../src/features/ledger/strays.ts'
import { keptLog } from '../../support/fake-deps.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { bookOver, budgetOf, holdOf, NOON, settlementOf, settleOne } from './calls.ts'
import { isolatesWorld } from './isolates.ts'
import { GRACE_MS } from './world.ts'

const LIFE_MS = 20_000
const AGES_MS = 10 * (LIFE_MS + GRACE_MS)
const LIMIT = 1_000_000
const AMOUNT = 100
const CALLS_AHEAD = 32
const budgets = [budgetOf(LIMIT)]

/** An isolate that was left credit, with the call that it was left it for already settled. */
async function lent() {
  const real = isolatesWorld(budgets)
  const isolate = real.isolate()
  const start = (listing: 'prompt' | 'late' | 'never' = 'prompt') =>
    real.start(isolate, { amountNanoUsd: AMOUNT, lifeMs: LIFE_MS, listing })
  const end = async (): Promise<void> => {
    for (const id of real.running.keys()) await real.settle(id, AMOUNT)
  }
  real.makeBusy(isolate)
  await start()
  await end()
  return { ...real, isolate, start, end }
}

type Lent = Awaited<ReturnType<typeof lent>>
const heldIn = async ({ world }: Lent) => (await world.ledger.spend(budgets))[0]?.heldNanoUsd
const rowsOf = ({ world }: Lent) => [...world.state.rows.values()].map(({ request_id, status }) => [request_id, status])

describe('credit', () => {
  it('is held whole, drawn or not, and free again when nobody draws on it any more', async () => {
    const lender = await lent()
    expect(await heldIn(lender)).toBe(CALLS_AHEAD * AMOUNT)
    await lender.start()
    expect(await heldIn(lender)).toBe(CALLS_AHEAD * AMOUNT)
    await lender.end()
    expect(await heldIn(lender)).toBe((CALLS_AHEAD - 1) * AMOUNT)
    await lender.world.pass(LIFE_MS)
    expect(await heldIn(lender)).toBe(0)
  })

  it('leaves no mark behind: an object that sleeps after it has lost nothing', async () => {
    const lender = await lent()
    await lender.world.pass(AGES_MS)
    expect(lender.world.state.alarmMs).toBeUndefined()
    lender.crash()
    expect(await heldIn(lender)).toBe(0)
  })

  it('keeps its object awake for as long as it is out, and no longer', async () => {
    const lender = await lent()
    const { state, pass } = lender.world
    await pass(5000)
    expect(await heldIn(lender)).toBeGreaterThan(0)
    expect((state.alarmMs ?? 0) - state.nowMs).toBeLessThanOrEqual(4000)
    await pass(AGES_MS)
    expect(state.alarmMs).toBeUndefined()
  })

  it('stays held while Redis is away, for nobody knows who drew on it', async () => {
    const lender = await lent()
    await lender.start()
    lender.kill('r000002')
    lender.world.state.redisAway = true
    await lender.world.pass(AGES_MS)
    expect(await heldIn(lender)).toBe(CALLS_AHEAD * AMOUNT)
    lender.world.state.redisAway = false
    await lender.world.pass(AGES_MS)
    expect(await heldIn(lender)).toBe(0)
    expect(rowsOf(lender)).toContainEqual(['r000002', 'unknown'])
  })

  it('is over in its time though Postgres does not take what was booked', async () => {
    const lender = await lent()
    lender.world.state.postgresAway = true
    await lender.start()
    await lender.world.pass(LIFE_MS / 2 + 1000)
    expect(await heldIn(lender)).toBe(AMOUNT)
    await lender.end()
    expect(await heldIn(lender)).toBe(0)
  })

  it('is no hoard of an isolate that is busy for a moment now and then', async () => {
    const lender = await lent()
    for (let burst = 0; burst < 100; burst++) {
      await lender.world.pass(6000)
      lender.makeBusy(lender.isolate)
      for (let at = 0; at < CALLS_AHEAD / 2; at++) await lender.start()
      await lender.end()
      expect(await heldIn(lender)).toBeLessThanOrEqual(2 * CALLS_AHEAD * AMOUNT)
    }
  })

  it('that got lost on its way is free again, however long its isolate stays busy', async () => {
    const lender = await lent()
    for (let second = 0; second < 120; second += 3) {
      lender.makeBusy(lender.isolate)
      if (second % 6 === 0) lender.faults.push('not told')
      for (let at = 0; at < 2 * CALLS_AHEAD; at++) await lender.start()
      await lender.end()
      await lender.world.pass(3000)
      expect(await heldIn(lender)).toBeLessThanOrEqual(12 * CALLS_AHEAD * AMOUNT)
    }
  })

  it('is not given back twice by a call that was booked before it was released', async () => {
    const book = bookOver(sqliteStorage(), { graceMs: GRACE_MS, budgets })
    const wish = { ...holdOf('a', { budgets, amountNanoUsd: AMOUNT }), wish: { nanoUsd: 3 * AMOUNT } }
    book.hold(wish, NOON)
    expect(book.credits.grant(wish, { name: 'crd', nowMs: NOON })).toMatchObject({ nanoUsd: 3 * AMOUNT })
    const drawn = { creditId: 'crd', nanoUsd: AMOUNT }
    const call = { cost_nanos: 1, created_at: 1, budgets, rowText: '{}', correctionsText: '[]', countersText: '[]' }
    book.settleAll([{ ...call, request_id: 'b', drawn }], NOON)
    book.release('b', drawn)
    expect(book.totals(budgetOf(LIMIT), NOON).held).toBe(3 * AMOUNT)
  })
})

describe('a call that drew on credit', () => {
  it('is booked when it was lost', async () => {
    const lender = await lent()
    await lender.start()
    lender.kill('r000002')
    await lender.world.pass(AGES_MS)
    expect(rowsOf(lender)).toContainEqual(['r000002', 'unknown'])
  })

  it('is booked when it was lost after it was announced to the next life of the object', async () => {
    const lender = await lent()
    lender.crash()
    lender.world.state.redisAway = true
    await lender.start('never')
    expect(await heldIn(lender)).toBeLessThanOrEqual(LIMIT)
    lender.kill('r000002')
    lender.world.state.redisAway = false
    await lender.world.pass(AGES_MS)
    expect(rowsOf(lender)).toEqual([
      ['r000001', 'ok'],
      ['r000002', 'unknown'],
    ])
    expect(await heldIn(lender)).toBe(0)
  })

  it('pays on its way out of what it drew, and is settled with all that was paid together', async () => {
    const lender = await lent()
    const { ledger } = lender.isolate
    await lender.start()
    const attempt = settlementOf('r000002a', 30, budgets)
    const part = { ...attempt, row: { ...attempt.row, parent_request_id: 'r000002' } }
    expect(await settleOne(ledger, part)).toBe(true)
    expect(await heldIn(lender)).toBe(CALLS_AHEAD * AMOUNT)
    const whole = [settlementOf('r000002', 40, budgets), part].map(settledCallOf)
    expect(await ledger.settle(whole)).toEqual([true, false])
    expect(await heldIn(lender)).toBe((CALLS_AHEAD - 1) * AMOUNT)
    expect((await lender.world.ledger.spend(budgets))[0]?.settledNanoUsd).toBe(AMOUNT + 70)
  })

  it('is one row when the object took it over before it was settled, and holds nothing after that', async () => {
    const lender = await lent()
    const { world } = lender
    await lender.start()
    await world.pass(LIFE_MS - 1000)
    expect(await heldIn(lender)).toBe(AMOUNT)
    lender.faults.push('not told')
    await lender.end()
    expect(await heldIn(lender)).toBe(0)
    await world.pass(AGES_MS)
    expect(rowsOf(lender)).toEqual([
      ['r000001', 'ok'],
      ['r000002', 'ok'],
    ])
  })

  it('may be released when the object has taken it over, and once more', async () => {
    const lender = await lent()
    await lender.start()
    await lender.world.pass(LIFE_MS - 1000)
    const drawn = { creditId: 'crd_0', nanoUsd: AMOUNT }
    for (let times = 0; times < 2; times++) await lender.world.ledger.release('r000002', false, drawn)
    expect(await heldIn(lender)).toBe(0)
    await lender.world.pass(AGES_MS)
    expect(rowsOf(lender)).toEqual([['r000001', 'ok']])
  })

  it('is not booked when it was given up, though a slow Redis lists it after that', async () => {
    const lender = await lent()
    lender.faults.push('not asked', 'not asked')
    expect(await lender.start('late')).toBeUndefined()
    expect(lender.withdrawn.get('r000002')).toBe(true)
    await lender.world.pass(2000)
    lender.listLate()
    await lender.world.pass(AGES_MS)
    expect(rowsOf(lender)).toEqual([['r000001', 'ok']])
    expect([...lender.world.state.open.keys()]).toEqual([])
  })

  it('is not booked when it was released while Redis was away and the last life was not yet accounted for', async () => {
    const lender = await lent()
    await lender.start()
    lender.crash()
    lender.world.state.redisAway = true
    await lender.release('r000002')
    await lender.world.pass(AGES_MS)
    lender.world.state.redisAway = false
    await lender.world.pass(AGES_MS)
    expect(rowsOf(lender)).toEqual([['r000001', 'ok']])
    expect(await heldIn(lender)).toBe(0)
  })

  it('is not taken for lost when it is taken off the list while that is read', async () => {
    const { book, strays, reading, closing } = readingStrays()
    const wish = { ...holdOf('a', { budgets, amountNanoUsd: AMOUNT }), wish: { nanoUsd: 3 * AMOUNT } }
    book.credits.grant(wish, { name: 'crd', nowMs: NOON })
    const looking = strays.look()
    closing.clear()
    const call = { ...holdOf('b', { budgets, amountNanoUsd: AMOUNT }), creditId: 'crd' }
    reading.resolve([{ b: JSON.stringify(call) }])
    await looking
    expect(book.holdsFor('b')).toBe(false)
  })
})

describe('the list of open calls', () => {
  it('is read once more for a call that was refused while it was read, and where Redis did not answer', async () => {
    for (const end of ['answers', 'is away'] as const) {
      const { strays, reading } = readingStrays()
      const looking = strays.look()
      if (end === 'answers') strays.suspect()
      if (end === 'answers') reading.resolve([null])
      else reading.reject(new DependencyError('redis', new Error('away')))
      await looking
      expect(strays.dueMs()).toBe(NOON + 10_000)
    }
  })
})

/** A look at the list of open calls that Redis answers when the test says so; `b` is being taken off. */
function readingStrays() {
  const book = bookOver(sqliteStorage(), { graceMs: GRACE_MS, budgets })
  const reading = Promise.withResolvers<unknown[]>()
  const closing = new Set(['b'])
  const strays = createStrays({
    orgId: 'org_1',
    book,
    deps: {
      redis: { run: () => Promise.reject(new Error('not asked')), pipeline: () => reading.promise },
      log: keptLog().log,
      now: () => NOON,
    },
    graceMs: GRACE_MS,
    outbox: { close: () => undefined, isClosing: (id) => closing.has(id), closing: () => closing },
    isWithdrawn: () => false,
  })
  return { book, strays, reading, closing }
}
