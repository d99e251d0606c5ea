import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { GateAnswer, GateEntry } from '../../../src/core/gate.ts'
import type { NodeLimits } from '../../../src/core/node.ts'
import { priorities } from '../../../src/core/routing.ts'
import { createGate } from '../../../src/features/gates/service.ts'
import { count } from '../../support/lane.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const limitsOf = (limit: number): NodeLimits => ({
  chat: limit,
  embed: limit,
  vision: limit,
  audio: limit,
  gpu_workflows: limit,
  gpu_tasks: limit,
})

/** A gate that lets so many in at once. */
function gateOf(limit: number) {
  const storage = sqliteStorage()
  const start = () => createGate({ exec: storage.exec, now: Date.now })
  let gate = start()
  const answers = new Map<string, GateAnswer | 'withdrawn'>()
  const enter = async (ticket: string, given: Partial<GateEntry> = {}) => {
    answers.delete(ticket)
    const entry = {
      ticket,
      class: 'chat' as const,
      priority: 'normal' as const,
      limits: limitsOf(limit),
      waitMs: 30_000,
      leaseMs: 60_000,
      ...given,
    }
    void gate.enter(entry).then(
      (answer) => answers.set(ticket, answer),
      () => answers.set(ticket, 'withdrawn'),
    )
    await vi.advanceTimersByTimeAsync(0)
    return answers.get(ticket)
  }
  const leave = async (ticket: string) => {
    await gate.leave(ticket)
    await vi.advanceTimersByTimeAsync(0)
  }
  const crash = () => {
    gate = start()
  }
  return { enter, leave, crash, answers, answerOf: (ticket: string) => answers.get(ticket) }
}

const IN = { ok: true }

describe('a gate', () => {
  it('lets so many in, and the others in turn as places come free', async () => {
    const { enter, leave, answerOf } = gateOf(2)
    for (const ticket of ['one', 'two']) expect(await enter(ticket)).toEqual(IN)
    for (const ticket of ['three', 'four']) expect(await enter(ticket)).toBeUndefined()
    expect(await enter('urgent', { priority: 'high' })).toBeUndefined()
    await leave('two')
    expect([answerOf('three'), answerOf('urgent')]).toEqual([undefined, IN])
    await leave('two')
    expect(answerOf('three')).toBeUndefined()
    await leave('one')
    expect([answerOf('three'), answerOf('four')]).toEqual([IN, undefined])
  })

  it('tells at once who does not wait, and later who has waited for too long', async () => {
    const { enter, answerOf } = gateOf(1)
    await enter('one')
    expect(await enter('two', { waitMs: 0 })).toEqual({ ok: false, retryAfterMs: 1000 })
    await enter('three', { waitMs: 2000 })
    await enter('four', { waitMs: 600_000, leaseMs: 600_000 })
    await vi.advanceTimersByTimeAsync(2000)
    expect([answerOf('three'), answerOf('four')]).toEqual([{ ok: false, retryAfterMs: 1000 }, undefined])
    await vi.advanceTimersByTimeAsync(28_000)
    expect(answerOf('four')).toEqual({ ok: false, retryAfterMs: 1000 })
  })

  it('gives the place of a caller who was never heard of again to the next, when the lease is over', async () => {
    const { enter, answerOf } = gateOf(1)
    await enter('killed', { leaseMs: 5000 })
    await enter('next')
    await vi.advanceTimersByTimeAsync(4999)
    expect(answerOf('next')).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    expect(answerOf('next')).toEqual(IN)
  })

  it('knows after a crash who is inside, and lets no more in', async () => {
    const { enter, leave, crash } = gateOf(2)
    await enter('one')
    await enter('two', { leaseMs: 5000 })
    crash()
    expect(await enter('three', { waitMs: 0 })).toMatchObject({ ok: false })
    await leave('one')
    expect(await enter('three', { waitMs: 0 })).toEqual(IN)
    await vi.advanceTimersByTimeAsync(5000)
    crash()
    expect(await enter('four', { waitMs: 0 })).toEqual(IN)
    expect(await enter('five', { waitMs: 0 })).toMatchObject({ ok: false })
  })

  it('counts a ticket once, however often it enters', async () => {
    const { enter, leave } = gateOf(2)
    for (let at = 0; at < 3; at++) expect(await enter('one')).toEqual(IN)
    expect(await enter('two')).toEqual(IN)
    await leave('one')
    expect(await enter('three')).toEqual(IN)
    expect(await enter('four', { waitMs: 0 })).toMatchObject({ ok: false })
  })

  it('goes by the limit that was told last', async () => {
    const { enter, answerOf } = gateOf(1)
    await enter('one')
    await enter('two')
    expect(await enter('three', { limits: limitsOf(2) })).toBeUndefined()
    expect(answerOf('two')).toEqual(IN)
    expect(await enter('four', { limits: limitsOf(1), waitMs: 0 })).toMatchObject({ ok: false })
  })

  it('lets nobody in who has left while they waited', async () => {
    const { enter, leave, answerOf } = gateOf(1)
    await enter('one')
    await enter('gone')
    await enter('next')
    await leave('gone')
    expect(answerOf('gone')).toBe('withdrawn')
    await leave('one')
    expect(answerOf('next')).toEqual(IN)
  })

  it('never has more inside than its limit, and has none in the end', async () => {
    const step = fc.record({
      act: fc.constantFrom('enter', 'enter', 'enter', 'leave', 'pass', 'crash'),
      who: fc.nat(20),
      priority: fc.constantFrom(...priorities),
      waitMs: fc.constantFrom(0, 1000, 30_000),
      ms: fc.integer({ min: 0, max: 20_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, limit) => {
        const { enter, leave, crash, answers } = gateOf(limit)
        const gone = new Set<string>()
        const inside = () => [...answers].filter(([id, answer]) => answer !== 'withdrawn' && answer.ok && !gone.has(id))
        for (const [at, { act, who, priority, waitMs, ms }] of steps.entries()) {
          if (act === 'enter') await enter(`t${at}`, { priority, waitMs, leaseMs: 10_000_000 })
          else if (act === 'pass') await vi.advanceTimersByTimeAsync(ms)
          else if (act === 'crash') crash()
          else {
            gone.add(`t${who}`)
            await leave(`t${who}`)
          }
          expect(inside().length).toBeLessThanOrEqual(limit)
        }
        for (let at = 0; at < steps.length; at++) {
          gone.add(`t${at}`)
          await leave(`t${at}`)
        }
        for (let at = 0; at < limit; at++) expect(await enter(`last${at}`, { waitMs: 0 })).toEqual(IN)
        expect(await enter('one more', { waitMs: 0 })).toMatchObject({ ok: false })
      }),
      { seed: 6, numRuns: count(40, 1000) },
    )
  })
})
