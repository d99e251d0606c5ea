import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemory } from '../../../src/core/memory.ts'
import { gather } from '../../../src/features/ledger/gathering.ts'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'
import { count } from '../../support/lane.ts'
import { settlementOf } from './calls.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** An isolate whose bundles are kept as lists of request ids, with the time at which each was sent. */
function isolate() {
  const memory = createMemory()
  const sent: { ids: string[]; atMs: number }[] = []
  const settle = (id: string, { orgId = 'org_1', isUrgent = false } = {}): Promise<void> =>
    gather(
      { memory, now: Date.now },
      { orgId, isUrgent, calls: [settledCallOf(settlementOf(id, 1))] },
      async (calls) => {
        sent.push({ ids: calls.map(({ request_id }) => request_id), atMs: Date.now() })
      },
    )
  return { memory, sent, settle, ids: () => sent.map(({ ids }) => ids) }
}

describe('settlements of an organisation', () => {
  it('go alone and at once when there are few', async () => {
    const { settle, ids } = isolate()
    await settle('a')
    vi.advanceTimersByTime(25)
    await settle('b')
    expect(ids()).toEqual([['a'], ['b']])
  })

  it('go together, in their order, when they come soon after another', async () => {
    const { settle, sent, ids } = isolate()
    await settle('a')
    const startMs = Date.now()
    const first = settle('b')
    await settle('c')
    await settle('d')
    expect(ids()).toEqual([['a']])
    await vi.advanceTimersByTimeAsync(25)
    await first
    expect(ids()).toEqual([['a'], ['b', 'c', 'd']])
    expect(sent[1]?.atMs).toBe(startMs + 25)
  })

  it('of another organisation do not wait for them', async () => {
    const { settle, ids } = isolate()
    await settle('a')
    await settle('b', { orgId: 'org_2' })
    expect(ids()).toEqual([['a'], ['b']])
  })

  it('that free a place go at once, and take along who waits', async () => {
    const { settle, ids } = isolate()
    await settle('a')
    const waiting = settle('b')
    await settle('c', { isUrgent: true })
    expect(ids()).toEqual([['a'], ['b', 'c']])
    await vi.advanceTimersByTimeAsync(50)
    await waiting
    expect(ids()).toEqual([['a'], ['b', 'c']])
  })

  it('are not lost with the request that was to send them', async () => {
    const { memory, settle, ids } = isolate()
    memory.gatherings.set('org_1', { waiting: [settledCallOf(settlementOf('left', 1))], dueMs: Date.now() - 1000 })
    await settle('a')
    expect(ids()).toEqual([['left', 'a']])
  })

  it('wait no longer than that when the clock is put back', async () => {
    const { settle, ids } = isolate()
    await settle('a')
    vi.setSystemTime(Date.now() - 3_600_000)
    const settled = settle('b')
    await vi.advanceTimersByTimeAsync(25)
    await settled
    expect(ids()).toEqual([['a'], ['b']])
  })

  it('leave nothing behind in an isolate that serves many organisations', async () => {
    const { memory, settle } = isolate()
    await settle('first', { orgId: 'org_busy' })
    const waiting = settle('second', { orgId: 'org_busy' })
    for (let at = 0; at < 3000; at++) {
      vi.setSystemTime(Date.now() + 30)
      await settle(`r${at}`, { orgId: `org_${at}` })
    }
    expect(memory.gatherings.size).toBeLessThanOrEqual(1000)
    expect(memory.gatherings.get('org_busy')?.waiting).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(25)
    await waiting
  })

  it('are each sent once, within 25 milliseconds, whoever comes when', async () => {
    const comers = fc.array(fc.record({ afterMs: fc.nat({ max: 40 }), isUrgent: fc.boolean() }), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(comers, async (list) => {
        const { settle, sent, ids } = isolate()
        const cameMs = new Map<string, number>()
        const all: Promise<void>[] = []
        for (const [at, { afterMs, isUrgent }] of list.entries()) {
          await vi.advanceTimersByTimeAsync(afterMs)
          cameMs.set(`r${at}`, Date.now())
          all.push(settle(`r${at}`, { isUrgent }))
        }
        await vi.advanceTimersByTimeAsync(25)
        await Promise.all(all)
        expect(ids().flat()).toEqual(list.map((_comer, at) => `r${at}`))
        for (const { ids: bundle, atMs } of sent)
          for (const id of bundle) expect(atMs - (cameMs.get(id) ?? 0)).toBeLessThanOrEqual(25)
      }),
      { numRuns: count(200, 5000) },
    )
  })
})
