import { describe, expect, it } from 'vitest'
import type { HoldRequest } from '../../../src/core/ledger.ts'
import { budgetOf, holdOf, NOON, settlementOf, settleOne } from './calls.ts'
import { GRACE_MS, ledgerWorld } from './world.ts'

const budgets = [budgetOf(1000)]
const LIFE_MS = 5000
const AGES_MS = 10 * (LIFE_MS + GRACE_MS)

type World = ReturnType<typeof ledgerWorld>

const hold = (world: World, id: string, amountNanoUsd = 100) =>
  holdOf(id, { budgets, amountNanoUsd, deadlineMs: world.state.nowMs + LIFE_MS })

/** What admission does in Redis, side by side with the hold. */
const list = (world: World, request: HoldRequest) =>
  void world.state.open.set(request.facts.request_id, JSON.stringify(request))

async function admitted(world: World, request: HoldRequest) {
  list(world, request)
  return world.ledger.hold(request)
}

const namesOf = ({ state }: World) => [...state.open.keys()]
const rowsOf = ({ state }: World) => [...state.rows.values()].map(({ request_id, status }) => [request_id, status])

describe('the list of open calls', () => {
  it('loses a call that was booked while Redis was away, though the object dies before Redis is back', async () => {
    const world = ledgerWorld()
    await admitted(world, hold(world, 'a'))
    world.state.redisAway = true
    await settleOne(world.ledger, settlementOf('a', 60, budgets))
    await world.pass(5000)
    expect(rowsOf(world)).toEqual([['a', 'ok']])
    world.crash()
    world.state.redisAway = false
    await world.pass(AGES_MS)
    expect(namesOf(world)).toEqual([])
    expect(rowsOf(world)).toEqual([['a', 'ok']])
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('loses a call that was refused, though nobody came to take it off, and no row tells of it', async () => {
    const world = ledgerWorld()
    expect(await admitted(world, hold(world, 'refused', 5000))).toMatchObject({ ok: false })
    await world.pass(LIFE_MS + GRACE_MS - 1)
    expect(namesOf(world)).toEqual(['refused'])
    await world.pass(GRACE_MS)
    expect(namesOf(world)).toEqual([])
    await world.pass(AGES_MS)
    expect(rowsOf(world)).toEqual([])
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('loses a call that was refused after the last that held, when the object died then', async () => {
    const world = ledgerWorld()
    await admitted(world, hold(world, 'a'))
    await world.pass(LIFE_MS - 1)
    // Long after everything that the mark covers: no ghost asks for it.
    expect(await admitted(world, { ...hold(world, 'refused', 5000), deadlineMs: NOON + 3 * AGES_MS })).toMatchObject({
      ok: false,
    })
    world.crash()
    await world.pass(AGES_MS)
    expect(rowsOf(world)).toEqual([['a', 'unknown']])
    await world.pass(3 * AGES_MS)
    expect(namesOf(world)).toEqual([])
    expect(rowsOf(world)).toEqual([['a', 'unknown']])
    expect(world.state.alarmMs).toBeUndefined()
  })

  it('loses a call that was answered by a target which no hard budget is for', async () => {
    const world = ledgerWorld()
    await admitted(world, hold(world, 'a'))
    await settleOne(world.ledger, settlementOf('a', 60, []))
    await world.pass(2000)
    expect(namesOf(world)).toEqual([])
  })

  it('loses a call that a slow Redis listed when it had ended', async () => {
    const world = ledgerWorld()
    const late = hold(world, 'late')
    await world.ledger.hold(late)
    await settleOne(world.ledger, settlementOf('late', 60, budgets))
    await world.pass(2000)
    list(world, late)
    await admitted(world, hold(world, 'next'))
    await settleOne(world.ledger, settlementOf('next', 60, budgets))
    await world.pass(20_000)
    expect(namesOf(world)).toEqual([])
    await world.pass(AGES_MS)
    expect(rowsOf(world)).toEqual([
      ['late', 'ok'],
      ['next', 'ok'],
    ])
  })

  it('keeps a call that is still being admitted, and one that holds', async () => {
    const world = ledgerWorld()
    await admitted(world, hold(world, 'a'))
    await settleOne(world.ledger, settlementOf('a', 60, budgets))
    const running = { ...hold(world, 'running'), deadlineMs: NOON + 100_000 }
    await admitted(world, running)
    const coming = { ...hold(world, 'coming'), deadlineMs: NOON + 100_000 }
    list(world, coming)
    await world.pass(80_000)
    expect(namesOf(world)).toEqual(['running', 'coming'])
    await world.ledger.hold(coming)
    await world.pass(100_000 + GRACE_MS)
    expect(namesOf(world)).toEqual([])
    expect(rowsOf(world).slice(1)).toEqual([
      ['running', 'unknown'],
      ['coming', 'unknown'],
    ])
  })

  it('is not read while everybody on it is known', async () => {
    const world = ledgerWorld()
    for (let at = 0; at < 50; at++) {
      await admitted(world, hold(world, `r${at}`, 1))
      await settleOne(world.ledger, settlementOf(`r${at}`, 1, budgets))
      await world.pass(3000)
    }
    await world.pass(AGES_MS)
    expect(world.state.commands.filter(([name]) => name === 'HGETALL')).toEqual([])
  })

  it('is read no more often than each ten seconds, however many calls are refused, and each ten while Redis is away', async () => {
    const world = ledgerWorld()
    for (let at = 0; at < 100; at++) {
      await admitted(world, hold(world, `r${at}`, 5000))
      world.state.open.delete(`r${at}`)
      await world.pass(1000)
    }
    expect(world.state.redisRequests).toBeLessThanOrEqual(11)
    world.state.redisAway = true
    const before = world.state.redisRequests
    await admitted(world, hold(world, 'last', 5000))
    await world.pass(100_000)
    expect(world.state.redisRequests - before).toBeLessThanOrEqual(11)
    world.state.redisAway = false
    await world.pass(20_000)
    expect(namesOf(world)).toEqual([])
  })
})

describe('a hold that comes late', () => {
  it('holds nothing after its call was withdrawn for good', async () => {
    const world = ledgerWorld()
    await world.ledger.release('a', true)
    await expect(world.ledger.hold(hold(world, 'a', 1000))).rejects.toThrow('ended before')
    expect(await world.ledger.hold(hold(world, 'b', 1000))).toEqual({ ok: true })
  })

  it('holds nothing after its call was booked', async () => {
    const world = ledgerWorld()
    await world.ledger.hold(hold(world, 'a'))
    await settleOne(world.ledger, settlementOf('a', 60, budgets))
    await expect(world.ledger.hold(hold(world, 'a', 940))).rejects.toThrow('ended before')
    await world.pass(AGES_MS)
    expect(rowsOf(world)).toEqual([['a', 'ok']])
  })

  it('holds when its call was only released to hold again', async () => {
    const world = ledgerWorld()
    await world.ledger.hold(hold(world, 'a', 600))
    await world.ledger.release('a')
    expect(await world.ledger.hold(hold(world, 'a', 1000))).toEqual({ ok: true })
  })
})
