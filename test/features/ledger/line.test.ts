import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { HoldAnswer, HoldRequest } from '../../../src/core/ledger.ts'
import { type Priority, priorities } from '../../../src/core/routing.ts'
import { count } from '../../support/lane.ts'
import { budgetOf, holdOf, rowOf, settleOne } from './calls.ts'
import { GRACE_MS, ledgerWorld } from './world.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const settlementOf = (id: string, cost = 0) => ({
  row: rowOf(id, cost),
  budgets: [],
  tokenCorrections: [],
  counters: [],
})

/** The ledger of an organisation of which so many calls may be at a target at once. */
function lineOf(amount: number) {
  const world = ledgerWorld()
  const answers = new Map<string, HoldAnswer | 'withdrawn'>()
  const placeAt = (target: string, most = amount) => ({ target, limits: [{ id: `lim_${target}`, amount: most }] })

  const hold = async (id: string, given: Partial<HoldRequest> = {}) => {
    const request = {
      ...holdOf(id, { budgets: [], amountNanoUsd: 0, deadlineMs: world.state.nowMs + 60_000 }),
      places: [placeAt('a')],
      priority: 'normal' as const,
      ...given,
    }
    answers.delete(id)
    void world.ledger.hold(request).then(
      (answer) => answers.set(id, answer),
      () => answers.set(id, 'withdrawn'),
    )
    await vi.advanceTimersByTimeAsync(0)
    return answers.get(id)
  }
  const pass = async (ms: number) => {
    world.state.nowMs += ms
    await vi.advanceTimersByTimeAsync(ms)
  }
  const settle = async (id: string) => {
    await settleOne(world.ledger, settlementOf(id))
    await vi.advanceTimersByTimeAsync(0)
  }
  const release = async (id: string, isLast = false) => {
    await world.ledger.release(id, isLast)
    await vi.advanceTimersByTimeAsync(0)
  }
  return { world, answers, hold, pass, settle, release, placeAt, answerOf: (id: string) => answers.get(id) }
}

describe('a call for which there is no place', () => {
  it('waits, and has the place of the first that ends', async () => {
    const { hold, settle, release, answerOf } = lineOf(2)
    for (const id of ['one', 'two']) expect(await hold(id)).toEqual({ ok: true, place: 'a' })
    for (const id of ['three', 'four']) expect(await hold(id)).toBeUndefined()
    await settle('two')
    expect(answerOf('three')).toEqual({ ok: true, place: 'a' })
    expect(answerOf('four')).toBeUndefined()
    await release('one')
    expect(answerOf('four')).toEqual({ ok: true, place: 'a' })
  })

  it('goes before those of lower priority', async () => {
    const { hold, settle, answerOf } = lineOf(1)
    await hold('first')
    await hold('low', { priority: 'low' })
    await hold('critical', { priority: 'critical' })
    await settle('first')
    expect([answerOf('critical'), answerOf('low')]).toEqual([{ ok: true, place: 'a' }, undefined])
  })

  it('is refused at once without a priority, and under a limit of its caller', async () => {
    const { world, hold, placeAt, settle, answerOf } = lineOf(1)
    await hold('first')
    const { priority, ...before } = { ...holdOf('old', { budgets: [], amountNanoUsd: 0 }), priority: 'low' }
    expect(await world.ledger.hold({ ...before, places: [placeAt('a')] })).toEqual({ ok: false, limitId: 'lim_a' })
    const concurrency = [{ id: 'lim_key', amount: 1 }]
    expect(await hold('own', { concurrency })).toBeUndefined()
    // Who waits is one of the calls under way of its caller.
    expect(await hold('too many', { concurrency })).toEqual({ ok: false, limitId: 'lim_key' })
    await settle('first')
    expect(answerOf('own')).toEqual({ ok: true, place: 'a' })
    expect(await hold('still too many', { concurrency })).toEqual({ ok: false, limitId: 'lim_key' })
    await settle('own')
    expect(await hold('again', { concurrency })).toEqual({ ok: true, place: 'a' })
  })

  it('takes a place anywhere that is good for it', async () => {
    const { hold, settle, placeAt, answerOf } = lineOf(1)
    await hold('at a')
    await hold('at b', { places: [placeAt('b')] })
    expect(await hold('either', { places: [placeAt('a'), placeAt('b')] })).toBeUndefined()
    expect(await hold('only a', { places: [placeAt('a')] })).toBeUndefined()
    await settle('at b')
    expect(answerOf('either')).toMatchObject({ ok: true, place: 'b', full: [{ target: 'a', limitId: 'lim_a' }] })
    await settle('at a')
    expect(answerOf('only a')).toEqual({ ok: true, place: 'a' })
  })

  it('is told to come back after thirty seconds, or half of its own time', async () => {
    const { world, hold, pass, answerOf } = lineOf(1)
    await hold('first', { deadlineMs: world.state.nowMs + 600_000 })
    await hold('patient', { deadlineMs: world.state.nowMs + 600_000 })
    await hold('hurried', { deadlineMs: world.state.nowMs + 10_000 })
    await pass(4999)
    expect(answerOf('hurried')).toBeUndefined()
    await pass(1)
    expect(answerOf('hurried')).toEqual({ ok: false, limitId: 'lim_a', retryAfterMs: 1000 })
    await pass(24_999)
    expect(answerOf('patient')).toBeUndefined()
    await pass(1)
    expect(answerOf('patient')).toMatchObject({ ok: false, limitId: 'lim_a' })
  })

  it('has the place of a call that is never heard of again', async () => {
    const { world, hold, pass, answerOf } = lineOf(1)
    await hold('lost', { deadlineMs: world.state.nowMs + 1000 })
    expect(await hold('next')).toBeUndefined()
    await pass(1000 + GRACE_MS)
    await world.ledger.wake()
    await pass(0)
    expect(answerOf('next')).toEqual({ ok: true, place: 'a' })
  })

  it('that is withdrawn leaves the line and holds nothing later', async () => {
    const { hold, settle, release, answerOf } = lineOf(1)
    const concurrency = [{ id: 'lim_key', amount: 1 }]
    await hold('first')
    await hold('gone', { concurrency })
    await hold('next')
    await release('gone', true)
    expect(answerOf('gone')).toBe('withdrawn')
    await settle('first')
    expect(answerOf('next')).toEqual({ ok: true, place: 'a' })
    await settle('next')
    expect(await hold('other', { concurrency })).toEqual({ ok: true, place: 'a' })
  })

  it('that asks again waits once', async () => {
    const { hold, settle, answerOf } = lineOf(1)
    await hold('first')
    await hold('again')
    await hold('again')
    await settle('first')
    expect(answerOf('again')).toEqual({ ok: true, place: 'a' })
    expect(await hold('next')).toBeUndefined()
    await settle('again')
    expect(answerOf('next')).toEqual({ ok: true, place: 'a' })
  })

  it('gives up its place, and its money, to wait for one elsewhere', async () => {
    const { hold, settle, placeAt, answerOf } = lineOf(1)
    await hold('at b', { places: [placeAt('b')] })
    const budgets = [budgetOf(100)]
    const money = { budgets, amountNanoUsd: 100 }
    await hold('mover', { ...money, places: [placeAt('a'), placeAt('b')] })
    expect(await hold('next')).toBeUndefined()
    expect(await hold('mover', { ...money, places: [placeAt('b')] })).toBeUndefined()
    expect(answerOf('next')).toEqual({ ok: true, place: 'a' })
    expect(await hold('payer', { ...money, places: [placeAt('c')] })).toEqual({ ok: true, place: 'c' })
    await settle('payer')
    await settle('at b')
    expect(answerOf('mover')).toEqual({ ok: true, place: 'b' })
  })
})

describe('the money of a call that waits', () => {
  it('is held when it has its place, and what refuses it then leaves the place to the next', async () => {
    const { world, hold, settle, answerOf } = lineOf(1)
    const budgets = [budgetOf(100)]
    await hold('first')
    expect(await hold('dear', { budgets, amountNanoUsd: 60 })).toBeUndefined()
    expect(await hold('too dear', { budgets, amountNanoUsd: 60 })).toBeUndefined()
    expect(await hold('free')).toBeUndefined()
    expect((await world.ledger.spend(budgets)).map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([0])
    await settle('first')
    expect(answerOf('dear')).toEqual({ ok: true, place: 'a' })
    expect((await world.ledger.spend(budgets)).map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([60])
    await settleOne(world.ledger, { ...settlementOf('dear', 60), budgets })
    await vi.advanceTimersByTimeAsync(0)
    expect(answerOf('too dear')).toEqual({ ok: false, budgetId: 'bud_total', remainingNanoUsd: 40 })
    expect(answerOf('free')).toEqual({ ok: true, place: 'a' })
    expect((await world.ledger.spend(budgets)).map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([0])
  })
})

describe('whoever comes, ends, gives up and dies', () => {
  it('there are never more at once than the limit, and in the end every place is free', async () => {
    const step = fc.record({
      act: fc.constantFrom('hold', 'hold', 'hold', 'settle', 'release', 'pass'),
      who: fc.nat(30),
      priority: fc.constantFrom<Priority>(...priorities),
      amountNanoUsd: fc.integer({ min: 0, max: 40 }),
      ms: fc.integer({ min: 0, max: 20_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, amount) => {
        const { world, hold, settle, release, pass, answers } = lineOf(amount)
        const budgets = [budgetOf(100)]
        const ended = new Set<string>()
        const seated = () =>
          [...answers].filter(([id, answer]) => answer !== 'withdrawn' && answer.ok && !ended.has(id))
        for (const [at, { act, who, priority, amountNanoUsd, ms }] of steps.entries()) {
          const id = `req_${act === 'hold' ? at : who}`
          const deadlineMs = world.state.nowMs + 600_000
          if (act === 'hold') await hold(id, { priority, budgets, amountNanoUsd, deadlineMs })
          else if (act === 'pass') await pass(ms)
          else {
            ended.add(id)
            await (act === 'settle' ? settle(id) : release(id, true))
          }
          expect(seated().length).toBeLessThanOrEqual(amount)
        }
        for (let at = 0; at < 60; at++) {
          ended.add(`req_${at}`)
          await settle(`req_${at}`)
        }
        await pass(30_000)
        expect((await world.ledger.spend(budgets)).map(({ heldNanoUsd }) => heldNanoUsd)).toEqual([0])
        for (let at = 0; at < amount; at++) expect(await hold(`last_${at}`)).toEqual({ ok: true, place: 'a' })
        expect(await hold('one more')).toBeUndefined()
      }),
      { seed: 6, numRuns: count(25, 1000) },
    )
  })
})
