import { describe, expect, it } from 'vitest'
import { createCreditLines } from '../../src/adapters/credit-line.ts'
import { CREDIT_MS, type HoldRequest } from '../../src/core/ledger.ts'
import { budgetOf, factsOf, holdOf, NOON } from '../features/ledger/calls.ts'

const budgets = [budgetOf(1_000_000)]
const AMOUNT = 100
const BUSY_CALLS = 20
const CALLS_AHEAD = 32
const LIFE_MS = 60_000

/** One isolate on a clock that only the test moves, and what it does for its calls. */
function isolate() {
  const clock = { nowMs: NOON }
  const lines = createCreditLines(() => clock.nowMs)
  let made = 0
  const request = (given: Partial<HoldRequest> = {}): HoldRequest => {
    made += 1
    const deadlineMs = clock.nowMs + LIFE_MS
    return { ...holdOf(`r${made}`, { budgets, amountNanoUsd: AMOUNT, deadlineMs }), ...given }
  }
  const calls = (many: number, given: Partial<HoldRequest> = {}): HoldRequest[] =>
    Array.from({ length: many }, () => lines.draw(request(given)))
  return {
    clock,
    lines,
    request,
    calls,
    /** Makes it busy, and leaves it what it wishes for. */
    lend(id = 'crd_1', deadlineMs = clock.nowMs + LIFE_MS + CREDIT_MS) {
      calls(BUSY_CALLS)
      const wishing = lines.wishFor(request())
      wishing?.take({ id, nanoUsd: wishing.wish.nanoUsd, deadlineMs })
      return wishing
    },
  }
}

const drew = ({ creditId }: HoldRequest) => creditId

describe('an isolate wishes for credit', () => {
  it('when it makes twenty calls a second, and not before', () => {
    const { lines, calls, request, clock } = isolate()
    calls(BUSY_CALLS - 1)
    expect(lines.wishFor(request())).toBeUndefined()
    clock.nowMs += 1000
    calls(BUSY_CALLS)
    expect(lines.wishFor(request())?.wish).toEqual({ nanoUsd: CALLS_AHEAD * AMOUNT })
  })

  it('still in the second after, and no longer when two have passed with less to do', () => {
    for (const [laterMs, wishes] of [
      [1000, true],
      [2000, false],
    ] as const) {
      const { lines, calls, request, clock } = isolate()
      calls(BUSY_CALLS)
      clock.nowMs += laterMs
      calls(1)
      expect(lines.wishFor(request()) !== undefined).toBe(wishes)
    }
  })

  it('one at a time, until it has an answer or none has come for five seconds', () => {
    const { lines, calls, request, clock } = isolate()
    calls(BUSY_CALLS)
    const first = lines.wishFor(request())
    expect(first).toBeDefined()
    expect(lines.wishFor(request())).toBeUndefined()
    clock.nowMs += CREDIT_MS
    calls(BUSY_CALLS)
    const second = lines.wishFor(request())
    expect(second).toBeDefined()
    second?.take({ id: 'crd_1', nanoUsd: AMOUNT, deadlineMs: clock.nowMs + LIFE_MS })
    expect(lines.wishFor(request())).toBeDefined()
  })

  it('again a second after it was left nothing', () => {
    const { lines, calls, request, clock } = isolate()
    calls(BUSY_CALLS)
    lines.wishFor(request())?.take(undefined)
    clock.nowMs += 999
    calls(BUSY_CALLS)
    expect(lines.wishFor(request())).toBeUndefined()
    clock.nowMs += 1
    expect(lines.wishFor(request())).toBeDefined()
  })

  it('for no more than it lacks, by the name of what it has', () => {
    const { lines, calls, request, clock, lend } = isolate()
    lend()
    calls(12)
    clock.nowMs += CREDIT_MS
    calls(BUSY_CALLS)
    expect(lines.wishFor(request())?.wish).toEqual({ nanoUsd: 12 * AMOUNT, creditId: 'crd_1' })
    clock.nowMs += CREDIT_MS
    calls(BUSY_CALLS)
    expect(lines.wishFor(request({ amountNanoUsd: 1 }))?.wish).toEqual({ nanoUsd: 0, creditId: 'crd_1' })
  })

  it('for none of the calls that hold more than money, or of which only the ledger knows in what', () => {
    const facts = { ...factsOf('r'), run_id: 'run_1' }
    const soft = budgets.map((budget) => ({ ...budget, soft: true as const }))
    for (const other of [{ facts }, { concurrency: [] }, { places: [] }, { budgets: [] }, { budgets: soft }]) {
      const { lines, calls, request, lend } = isolate()
      expect(calls(2 * BUSY_CALLS, other).map(drew)).toEqual(Array(2 * BUSY_CALLS).fill(undefined))
      expect(lines.wishFor(request(other))).toBeUndefined()
      lend()
      expect(calls(1, other).map(drew)).toEqual([undefined])
    }
  })
})

describe('an isolate draws', () => {
  it('as much as it was left, and tells of each call what', () => {
    const { lines, calls, lend } = isolate()
    lend()
    const drawn = calls(CALLS_AHEAD + 1)
    expect(drawn.map(drew)).toEqual([...Array(CALLS_AHEAD).fill('crd_1'), undefined])
    const [first] = drawn
    const id = first?.facts.request_id ?? ''
    expect(lines.drawnBy(id)).toEqual({ creditId: 'crd_1', nanoUsd: AMOUNT })
    expect(lines.callOf(id)).toEqual(first)
    lines.forget(id)
    expect(lines.drawnBy(id)).toBeUndefined()
  })

  it('for five seconds from when it wished, not from when it was answered', () => {
    const { lines, calls, request, clock } = isolate()
    calls(BUSY_CALLS)
    const wishing = lines.wishFor(request())
    clock.nowMs += 3000
    wishing?.take({ id: 'crd_1', nanoUsd: 10 * AMOUNT, deadlineMs: NOON + 2 * LIFE_MS })
    clock.nowMs = NOON + CREDIT_MS - 1
    expect(calls(1).map(drew)).toEqual(['crd_1'])
    clock.nowMs = NOON + CREDIT_MS
    expect(calls(1).map(drew)).toEqual([undefined])
  })

  it('for no call that may outlive what the ledger remembers, nor for one that costs more than is left', () => {
    const { calls, lend, clock } = isolate()
    lend('crd_1', NOON + LIFE_MS)
    expect(calls(1, { deadlineMs: NOON + LIFE_MS + 1 }).map(drew)).toEqual([undefined])
    expect(calls(1, { amountNanoUsd: CALLS_AHEAD * AMOUNT + 1 }).map(drew)).toEqual([undefined])
    expect(calls(1, { amountNanoUsd: CALLS_AHEAD * AMOUNT, deadlineMs: clock.nowMs }).map(drew)).toEqual(['crd_1'])
  })

  it('only for calls of the same budgets at the same limits', () => {
    const { calls, lend } = isolate()
    lend()
    const [budget] = budgets
    const lowered = budgets.map((one) => ({ ...one, limitNanoUsd: 500 }))
    expect(calls(1, { budgets: lowered }).map(drew)).toEqual([undefined])
    expect(calls(1, { budgets: [...budgets, budgetOf(1000, 'day')] }).map(drew)).toEqual([undefined])
    const told = budget ? [{ ...budget, id: 'bud_soft', soft: true as const }] : []
    expect(calls(1, { budgets: [...budgets, ...told] }).map(drew)).toEqual(['crd_1'])
  })

  it('on what it has together with what it gets, and on nothing of a credit that another takes the place of', () => {
    const { calls, clock, lend, lines, request } = isolate()
    lend()
    calls(CALLS_AHEAD - 1)
    clock.nowMs += CREDIT_MS
    lend()
    expect(calls(CALLS_AHEAD + 1).map(drew)).toEqual([...Array(CALLS_AHEAD).fill('crd_1'), undefined])
    calls(BUSY_CALLS)
    lines.wishFor(request())?.take({ id: 'crd_1', nanoUsd: 5 * AMOUNT, deadlineMs: NOON + 2 * LIFE_MS })
    lines.wishFor(request())?.take({ id: 'crd_2', nanoUsd: AMOUNT, deadlineMs: NOON + 2 * LIFE_MS })
    expect(calls(2).map(drew)).toEqual(['crd_2', undefined])
  })

  it('on nothing by a clock that was put back, for that lasts longer than the ledger holds it', () => {
    const { calls, clock, lend } = isolate()
    lend()
    clock.nowMs += 4000
    expect(calls(1).map(drew)).toEqual(['crd_1'])
    clock.nowMs -= 300
    expect(calls(1).map(drew)).toEqual(['crd_1'])
    clock.nowMs -= 300
    expect(calls(1).map(drew)).toEqual([undefined])
    clock.nowMs -= 3_600_000
    calls(1)
    expect(lend()?.wish).toEqual({ nanoUsd: CALLS_AHEAD * AMOUNT })
    expect(calls(1).map(drew)).toEqual(['crd_1'])
  })
})

describe('what an isolate remembers', () => {
  it('of calls that never ended is forgotten when they cannot be alive any more', () => {
    const { calls, clock, lend, lines } = isolate()
    const drawMany = (many: number): string[] => {
      const ids: string[] = []
      while (ids.length < many) {
        lend()
        for (const { facts, creditId } of calls(CALLS_AHEAD)) if (creditId) ids.push(facts.request_id)
      }
      return ids
    }
    const alive = drawMany(5000)
    expect(alive.every((id) => lines.drawnBy(id))).toBe(true)
    clock.nowMs += LIFE_MS + 60_001
    const later = drawMany(6000)
    expect(alive.filter((id) => lines.drawnBy(id))).toEqual([])
    expect(later.every((id) => lines.drawnBy(id))).toBe(true)
  })

  it('of budgets is bounded, whoever calls', () => {
    const { calls, lend } = isolate()
    lend()
    for (let at = 0; at < 998; at++) calls(1, { budgets: [budgetOf(1000, 'total', `bud_${at}`)] })
    expect(calls(1).map(drew)).toEqual(['crd_1'])
    calls(1, { budgets: [budgetOf(1000, 'total', 'bud_x')] })
    calls(1, { budgets: [budgetOf(1000, 'total', 'bud_y')] })
    expect(calls(1).map(drew)).toEqual([undefined])
  })
})
