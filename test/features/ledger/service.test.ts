import { describe, expect, it } from 'vitest'
import type { HoldRequest } from '../../../src/core/ledger.ts'
import { budgetOf, holdOf, NOON, rowOf, settlementOf, settleOne } from './calls.ts'
import { GRACE_MS, ledgerWorld } from './world.ts'

const budget = budgetOf(1000)
const budgets = [budget]
const hold = (id: string, amountNanoUsd = 100) => holdOf(id, { budgets, amountNanoUsd, deadlineMs: NOON + 5000 })
/** Long after every deadline, grace and mark. */
const AGES_MS = 10 * (5000 + GRACE_MS)

/** Redis lists a call as open the moment it is admitted. */
async function admitted(world: ReturnType<typeof ledgerWorld>, request: HoldRequest) {
  world.state.open.set(request.facts.request_id, JSON.stringify(request))
  return world.ledger.hold(request)
}

describe('flushing', () => {
  it('writes what was settled within a second or so, in one request to each store', async () => {
    const world = ledgerWorld()
    for (let at = 0; at < 200; at++) {
      await admitted(world, hold(`r${at}`, 1))
      await settleOne(world.ledger, settlementOf(`r${at}`, 1, budgets))
    }
    expect(await world.pass(1000)).toBe(1)
    expect(world.state.rows.size).toBe(200)
    expect(world.state.writes - world.state.opened).toBe(1)
    expect(world.state.redisRequests).toBe(1)
    expect(world.state.open.size).toBe(0)
    await world.pass(AGES_MS)
    expect(world.state.alarmMs).toBeUndefined()
    expect(world.state.writes - world.state.opened).toBe(1)
  })

  it('does not wait for a full batch, and writes no batch larger than that', async () => {
    const world = ledgerWorld()
    for (let at = 0; at < 1100; at++) await settleOne(world.ledger, settlementOf(`r${at}`, 1))
    await world.settledInBackground()
    expect(world.state.rows.size).toBeGreaterThanOrEqual(500)
    await world.pass(1000)
    expect(world.state.rows.size).toBe(1100)
    expect(Math.max(...world.state.batches)).toBe(500)
  })

  it('settles twice, books once', async () => {
    const world = ledgerWorld()
    await world.ledger.hold(hold('a'))
    expect(await settleOne(world.ledger, settlementOf('a', 60, budgets))).toBe(true)
    expect(await settleOne(world.ledger, settlementOf('a', 60, budgets))).toBe(false)
    await world.pass(1000)
    expect(await settleOne(world.ledger, settlementOf('a', 60, budgets))).toBe(false)
    await world.pass(AGES_MS)
    expect([...world.state.rows.values()].map(({ cost_nanos }) => cost_nanos)).toEqual([60])
    expect(await world.ledger.hold(hold('b', 940))).toEqual({ ok: true })
  })

  it('corrects the token windows by what was really used', async () => {
    const world = ledgerWorld()
    const tokenCorrections = [{ key: 'window', delta: -30 }]
    await settleOne(world.ledger, { ...settlementOf('a', 1), tokenCorrections })
    await settleOne(world.ledger, { ...settlementOf('b', 1), tokenCorrections })
    await world.pass(1000)
    expect(world.state.commands).toContainEqual(['INCRBY', 'window', -60])
  })
})

describe('with Postgres away', () => {
  it('goes on booking, tries again ever more seldom, and writes each row once when it is back', async () => {
    const world = ledgerWorld()
    world.state.postgresAway = true
    for (let at = 0; at < 30; at++) {
      await settleOne(world.ledger, settlementOf(`r${at}`, 1, budgets))
      await world.pass(10_000)
    }
    expect(world.state.rows.size).toBe(0)
    // 1, 2, 4, … 60 seconds apart, whatever the traffic.
    expect(world.state.writes).toBeLessThan(15)
    expect(world.state.alarmMs).toBeDefined()
    world.state.postgresAway = false
    await world.pass(61_000)
    expect(world.state.rows.size).toBe(30)
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('tries no more often because calls are overdue meanwhile, and Redis is told at once that they ended', async () => {
    const world = ledgerWorld()
    await world.ledger.spend(budgets)
    world.state.postgresAway = true
    for (let at = 0; at < 300; at++) {
      await admitted(world, holdOf(`r${at}`, { budgets, amountNanoUsd: 1, deadlineMs: world.state.nowMs + 1000 }))
      await world.pass(1000)
    }
    expect(world.state.writes).toBeLessThan(15)
    await world.pass(100_000)
    expect(world.state.open.size).toBe(0)
    expect(world.state.rows.size).toBe(0)
    world.state.postgresAway = false
    await world.pass(61_000)
    expect(world.state.rows.size).toBe(300)
  })

  it('gives a Postgres that is too slow for a batch less at a time, and more again when it takes that', async () => {
    const world = ledgerWorld()
    world.state.mostRows = 70
    for (let at = 0; at < 1200; at++) await settleOne(world.ledger, settlementOf(`r${at}`, 1))
    await world.pass(20_000)
    expect(world.state.rows.size).toBe(1200)
    world.state.mostRows = Number.POSITIVE_INFINITY
    for (let at = 0; at < 4; at++) {
      await settleOne(world.ledger, settlementOf(`s${at}`, 1))
      await world.pass(1000)
    }
    for (let at = 0; at < 1200; at++) await settleOne(world.ledger, settlementOf(`t${at}`, 1))
    await world.pass(1000)
    expect(world.state.rows.size).toBe(2404)
    expect(Math.max(...world.state.batches)).toBe(500)
  })

  it('does not hammer it when a batch is full', async () => {
    const world = ledgerWorld()
    world.state.postgresAway = true
    for (let at = 0; at < 2000; at++) {
      await settleOne(world.ledger, settlementOf(`r${at}`, 1))
      await world.settledInBackground()
    }
    expect(world.state.writes).toBe(1)
  })

  it('loses nothing when the object dies meanwhile', async () => {
    const world = ledgerWorld()
    world.state.postgresAway = true
    await settleOne(world.ledger, settlementOf('a', 60, budgets))
    await world.pass(5000)
    world.state.alarmMs = undefined
    world.crash()
    expect(world.state.alarmMs).toBeDefined()
    world.state.postgresAway = false
    await world.pass(AGES_MS)
    expect([...world.state.rows.keys()]).toEqual(['a'])
  })
})

describe('calls that are never heard of again', () => {
  it('become one unknown row each, bounded by what they held, after deadline and grace', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    await world.ledger.extend({ requestId: 'a', amountNanoUsd: 50, budgets })
    await world.pass(5000 + GRACE_MS - 1)
    expect(world.state.rows.size).toBe(0)
    await world.pass(2001)
    expect([...world.state.rows.values()]).toMatchObject([
      { request_id: 'a', status: 'unknown', estimated: true, cost_nanos: 150 },
    ])
    expect(await settleOne(world.ledger, settlementOf('a', 20, budgets))).toBe(false)
    expect(await world.ledger.hold(hold('b', 850))).toEqual({ ok: true })
    expect(world.state.open.size).toBe(0)
  })

  it('leave nothing behind when they were never made', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    await world.ledger.release('a')
    await world.pass(2000)
    expect(world.state.open.size).toBe(0)
    world.crash()
    await world.pass(AGES_MS)
    expect(world.state.rows.size).toBe(0)
    expect(await world.ledger.hold(hold('b', 1000))).toEqual({ ok: true })
  })

  it('keep their place among the open calls when they are released and hold again', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    await world.ledger.release('a')
    await admitted(world, hold('a', 200))
    await world.pass(2000)
    expect([...world.state.open.keys()]).toEqual(['a'])
  })
})

describe('after a crash', () => {
  it('turns calls that only Redis remembers into unknown rows, once, and frees the rest', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a', 100))
    await admitted(world, hold('b', 200))
    await admitted(world, hold('c', 300))
    await settleOne(world.ledger, settlementOf('c', 10, budgets))
    world.crash()
    expect(await world.ledger.hold(hold('d', 700))).toMatchObject({ ok: false })
    expect(await settleOne(world.ledger, settlementOf('b', 20, budgets))).toBe(true)
    await world.pass(AGES_MS)
    expect([...world.state.rows.values()].map((row) => [row.request_id, row.status, row.cost_nanos]).sort()).toEqual([
      ['a', 'unknown', 100],
      ['b', 'ok', 20],
      ['c', 'ok', 10],
    ])
    expect(world.state.open.size).toBe(0)
    expect(world.state.alarmMs).toBeUndefined()
    expect(await world.ledger.hold(hold('e', 870))).toEqual({ ok: true })
  })

  it('waits for Redis as long as it is away, and gives the money to nobody meanwhile', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a', 1000))
    world.crash()
    world.state.redisAway = true
    await world.pass(AGES_MS)
    expect(world.state.alarmMs).toBeDefined()
    expect(await world.ledger.hold(hold('b', 1))).toMatchObject({ ok: false })
    world.state.redisAway = false
    await world.pass(AGES_MS)
    expect([...world.state.rows.values()]).toMatchObject([{ request_id: 'a', status: 'unknown', cost_nanos: 1000 }])
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('asks Postgres before it calls a call lost: an old row is no lost call', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    await settleOne(world.ledger, settlementOf('a', 60, budgets))
    world.state.redisAway = true
    await world.pass(31 * 60_000)
    expect(world.state.open.size).toBe(1)
    // From this flush on the object itself has forgotten the first call.
    await settleOne(world.ledger, settlementOf('b', 0))
    await world.pass(2000)
    await world.ledger.hold(holdOf('c', { budgets, amountNanoUsd: 1, deadlineMs: world.state.nowMs + 1000 }))
    world.crash()
    world.state.postgresAway = true
    world.state.redisAway = false
    await world.pass(AGES_MS)
    expect(world.state.rows.size).toBe(2)
    world.state.postgresAway = false
    await world.pass(AGES_MS)
    expect([...world.state.rows.values()].map(({ status, cost_nanos }) => [status, cost_nanos])).toEqual([
      ['ok', 60],
      ['ok', 0],
    ])
    expect(world.state.open.size).toBe(0)
    expect(await world.ledger.hold(hold('d', 940))).toEqual({ ok: true })
  })

  it('counts what went straight to Postgres because the object did not answer in time', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a', 600))
    world.crash()
    world.state.rows.set('a', rowOf('a', 550))
    await world.pass(AGES_MS)
    expect(world.state.rows.get('a')?.cost_nanos).toBe(550)
    expect(world.state.open.size).toBe(0)
    expect(await world.ledger.spend(budgets)).toMatchObject([{ settledNanoUsd: 550, heldNanoUsd: 0 }])
    expect(await world.ledger.hold(hold('b', 451))).toMatchObject({ ok: false, remainingNanoUsd: 450 })
    expect(await world.ledger.hold(hold('c', 450))).toEqual({ ok: true })
  })

  it('books no more for lost calls than can have been held', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a', 600))
    expect(await admitted(world, hold('refused', 600))).toMatchObject({ ok: false })
    world.crash()
    await world.pass(AGES_MS)
    const costs = [...world.state.rows.values()].map(({ cost_nanos }) => cost_nanos)
    expect(Math.max(...costs)).toBe(600)
    expect(costs.reduce((sum, cost) => sum + cost, 0)).toBeLessThanOrEqual(610)
  })

  it('survives entries of Redis that nobody can read', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    world.state.open.set('x', '{"facts":')
    world.crash()
    await world.pass(AGES_MS)
    expect([...world.state.rows.keys()]).toEqual(['a'])
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('does not mistake calls of this life for lost ones', async () => {
    const world = ledgerWorld()
    await admitted(world, hold('a'))
    world.crash()
    const later = holdOf('b', { budgets, amountNanoUsd: 100, deadlineMs: NOON + 1_000_000 })
    await admitted(world, later)
    await admitted(world, holdOf('refused', { budgets, amountNanoUsd: 5000, deadlineMs: NOON + 1_000_000 }))
    await world.pass(AGES_MS)
    expect([...world.state.rows.keys()]).toEqual(['a'])
    expect(await settleOne(world.ledger, settlementOf('b', 50, budgets))).toBe(true)
    await world.pass(2000)
    expect([...world.state.rows.keys()]).toEqual(['a', 'b'])
  })
})
