import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { HoldAnswer } from '../../../src/core/ledger.ts'
import type { Priority } from '../../../src/core/routing.ts'
import { count } from '../../support/lane.ts'
import { holdOf, rowOf, settleOne } from './calls.ts'
import { ledgerWorld } from './world.ts'

const AT_ONCE = 8
const ANSWER_MS = 200
const PEAK_PER_SECOND = (AT_ONCE * 1000) / ANSWER_MS
const SECONDS = count(8, 60)
const TICK_MS = 5

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Out of twenty in order. */
const mix = (at: number): Priority => (at % 20 === 7 ? 'critical' : at % 10 === 3 ? 'high' : at % 2 ? 'low' : 'normal')

type Told = { priority: Priority; ms: number; isServed: boolean; retryAfterMs: number }

/** A vendor of eight places and a fifth of a second, and callers who come at a rate, on a clock of their own. */
async function flooded(perSecond: number) {
  const world = ledgerWorld()
  const { state } = world
  const startMs = state.nowMs
  const told: Told[] = []
  let running: { id: string; endMs: number }[] = []
  let most = 0
  let answered = 0
  let came = 0

  const arrive = (priority: Priority): void => {
    const [id, atMs] = [`req_${came++}`, state.nowMs]
    const places = [{ target: 'a', limits: [{ id: 'lim_a', amount: AT_ONCE }] }]
    const request = holdOf(id, { budgets: [], amountNanoUsd: 0, deadlineMs: atMs + 60_000 })
    void world.ledger.hold({ ...request, places, priority }).then((answer: HoldAnswer) => {
      const retryAfterMs = 'retryAfterMs' in answer ? (answer.retryAfterMs ?? 0) : 0
      told.push({ priority, ms: state.nowMs - atMs, isServed: answer.ok, retryAfterMs })
      if (answer.ok) running.push({ id, endMs: state.nowMs + ANSWER_MS })
      most = Math.max(most, running.length)
    })
  }
  const tick = async (): Promise<void> => {
    state.nowMs += TICK_MS
    const ended = running.filter(({ endMs }) => endMs <= state.nowMs)
    running = running.filter(({ endMs }) => endMs > state.nowMs)
    for (const { id } of ended) {
      answered += 1
      await settleOne(world.ledger, { row: rowOf(id, 0), budgets: [], tokenCorrections: [], counters: [] })
    }
    await vi.advanceTimersByTimeAsync(TICK_MS)
  }

  while (state.nowMs - startMs < SECONDS * 1000) {
    while (came < ((state.nowMs - startMs) * perSecond) / 1000) arrive(mix(came))
    await tick()
  }
  const goodput = answered / SECONDS
  const overMs = state.nowMs
  for (let ticks = 0; running.length > 0 && ticks < 10_000; ticks++) await tick()
  return { told, goodput, most, drainedMs: state.nowMs - overMs, came: () => came }
}

describe('ten times as many calls as a vendor can answer', () => {
  it('keep it busy; the least urgent are refused, at once, and all is as before soon afterwards', async () => {
    const { told, goodput, most, drainedMs, came } = await flooded(10 * PEAK_PER_SECOND)
    expect(told).toHaveLength(came())
    expect(most).toBe(AT_ONCE)
    expect(goodput / PEAK_PER_SECOND).toBeGreaterThan(0.9)
    expect(drainedMs).toBeLessThan(5000)
    const refused = told.filter(({ isServed }) => !isServed)
    const waits = refused.map(({ ms }) => ms).toSorted((one, other) => one - other)
    expect(waits[Math.floor(waits.length * 0.99)]).toBeLessThanOrEqual(TICK_MS)
    expect(refused.every(({ retryAfterMs }) => retryAfterMs >= 1000 && retryAfterMs <= 4000)).toBe(true)
    const shares = (['low', 'normal', 'high', 'critical'] as const).map((priority) => {
      const mine = told.filter((one) => one.priority === priority)
      return mine.filter(({ isServed }) => !isServed).length / mine.length
    })
    expect(shares).toEqual(shares.toSorted((one, other) => other - one))
    expect(shares[0]).toBeGreaterThan(0.9)
    expect(shares[3]).toBe(0)
  })
})
