import { describe, expect, it } from 'vitest'
import type { BudgetRef } from '../../../src/core/ledger.ts'
import { budgetOf, DAY_MS, holdOf, NOON, settlementOf, settleOne } from './calls.ts'
import { ledgerWorld } from './world.ts'

const old = budgetOf(10_000)
const hold = (id: string, amountNanoUsd: number, budgets: readonly BudgetRef[]) =>
  holdOf(id, { budgets, amountNanoUsd, deadlineMs: NOON + 5000 })

describe('a budget that is new to its ledger', () => {
  it('counts what is in Postgres and what is on its way there, each once', async () => {
    const world = ledgerWorld()
    await settleOne(world.ledger, settlementOf('written', 100, [old]))
    await world.pass(2000)
    await settleOne(world.ledger, settlementOf('waiting', 20, [old]))
    const fresh = budgetOf(1000, 'total', 'bud_fresh')
    expect(await world.ledger.spend([fresh])).toEqual([{ id: 'bud_fresh', settledNanoUsd: 120, heldNanoUsd: 0 }])
    await world.pass(2000)
    expect(await world.ledger.hold(hold('a', 881, [fresh]))).toMatchObject({ ok: false, remainingNanoUsd: 880 })
    expect(await world.ledger.hold(hold('b', 880, [fresh]))).toEqual({ ok: true })
    expect(world.state.opened).toBe(2)
  })

  it('is opened once by however many calls', async () => {
    const world = ledgerWorld()
    await Promise.all(Array.from({ length: 20 }, (_unused, at) => world.ledger.hold(hold(`r${at}`, 1, [old]))))
    expect(world.state.opened).toBe(1)
    expect(await world.ledger.spend([old])).toEqual([{ id: old.id, settledNanoUsd: 0, heldNanoUsd: 20 }])
  })

  it('gives no money while Postgres cannot be asked', async () => {
    const world = ledgerWorld()
    world.state.postgresAway = true
    await expect(world.ledger.hold(hold('a', 1, [old]))).rejects.toThrow()
    world.state.postgresAway = false
    expect(await world.ledger.hold(hold('a', 1, [old]))).toEqual({ ok: true })
  })

  it('holds nothing for a call that was given up while it was opened', async () => {
    const world = ledgerWorld()
    const gate = Promise.withResolvers<void>()
    world.state.postgresGate = gate.promise
    const given = [hold('a', 7, [old]), hold('b', 7, [old])].map((one) => world.ledger.hold(one))
    const ends = Promise.allSettled(given)
    await world.ledger.release('a')
    gate.resolve()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(await world.ledger.spend([old])).toMatchObject([{ heldNanoUsd: 7 }])
    await world.pass(60_000)
    expect([...world.state.rows.keys()]).toEqual(['b'])
  })

  it('holds once for a call that gave up and came again meanwhile', async () => {
    const world = ledgerWorld()
    const gate = Promise.withResolvers<void>()
    world.state.postgresGate = gate.promise
    const first = world.ledger.hold(hold('a', 7, [old]))
    const refused = expect(first).rejects.toThrow('withdrawn')
    await world.ledger.release('a')
    const second = world.ledger.hold(hold('a', 5, [old]))
    gate.resolve()
    await refused
    expect(await second).toEqual({ ok: true })
    expect(await world.ledger.spend([old])).toMatchObject([{ heldNanoUsd: 5 }])
  })

  it('asks Postgres once for all who wait while it does not answer', async () => {
    const world = ledgerWorld()
    const gate = Promise.withResolvers<void>()
    world.state.postgresAway = true
    world.state.postgresGate = gate.promise
    const given = Array.from({ length: 20 }, (_unused, at) => world.ledger.hold(hold(`r${at}`, 1, [old])))
    const ends = Promise.allSettled(given)
    gate.resolve()
    expect((await ends).every(({ status }) => status === 'rejected')).toBe(true)
    expect(world.state.writes).toBe(1)
    world.state.postgresAway = false
    expect(await world.ledger.hold(hold('later', 1, [old]))).toEqual({ ok: true })
  })

  it('is forgotten once it is deleted', async () => {
    const world = ledgerWorld()
    await settleOne(world.ledger, settlementOf('a', 5, [old]))
    await world.pass(2000)
    world.state.deleted.add(old.id)
    await world.ledger.spend([budgetOf(1, 'total', 'bud_other')])
    world.state.rows.clear()
    expect(await world.ledger.spend([old])).toMatchObject([{ settledNanoUsd: 0 }])
  })
})

describe('thresholds', () => {
  const watched = (limitNanoUsd: number, window: BudgetRef['window'] = 'total'): BudgetRef => ({
    ...budgetOf(limitNanoUsd, window, 'bud_watched'),
    soft: true,
    softPercent: [50, 80],
  })
  const told = ({ state }: ReturnType<typeof ledgerWorld>) => state.audited.map(({ details }) => details.percent)

  it('are told once each, also of a budget that begins above them, and survive a crash', async () => {
    const world = ledgerWorld()
    await settleOne(world.ledger, settlementOf('a', 60, [watched(100)]))
    await world.pass(2000)
    await world.pass(2000)
    expect(told(world)).toEqual([50])
    world.crash()
    await settleOne(world.ledger, settlementOf('b', 10, [watched(100)]))
    await settleOne(world.ledger, settlementOf('c', 10, [watched(100)]))
    await world.pass(2000)
    expect(told(world)).toEqual([50, 80])
    expect(world.lines.filter(({ event }) => event === 'budget_threshold')).toHaveLength(2)
  })

  it('are told again when a raised limit is reached, and in the next window', async () => {
    const world = ledgerWorld()
    await world.ledger.spend([watched(100, 'day')])
    await settleOne(world.ledger, settlementOf('a', 60, [watched(100, 'day')]))
    await settleOne(world.ledger, settlementOf('b', 10, [watched(1000, 'day')]))
    await settleOne(world.ledger, settlementOf('c', 430, [watched(1000, 'day')]))
    await world.pass(DAY_MS)
    await settleOne(world.ledger, settlementOf('d', 500, [watched(1000, 'day')]))
    await world.pass(2000)
    expect(told(world)).toEqual([50, 50, 50])
  })

  it('wait for Postgres in storage', async () => {
    const world = ledgerWorld()
    await world.ledger.spend([watched(100)])
    world.state.postgresAway = true
    await settleOne(world.ledger, settlementOf('a', 90, [watched(100)]))
    await world.pass(5000)
    world.crash()
    world.state.postgresAway = false
    await world.pass(120_000)
    expect(told(world)).toEqual([50, 80])
  })
})
