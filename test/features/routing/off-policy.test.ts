import { describe, expect, it } from 'vitest'
import { createLots, shareOf } from '../../../src/features/routing/lots.ts'
import { type Estimates, effectiveSize, estimate, type Sample } from '../../../src/features/routing/off-policy.ts'
import { count } from '../../support/lane.ts'

/** What an action costs on average in each of two kinds of call, and how likely either policy is to take it. */
const actions = [
  { mean: [1, 4], logged: [0.5, 0.25], other: [0.1, 0] },
  { mean: [3, 2], logged: [0.3, 0.25], other: [0.2, 0.9] },
  { mean: [5, 1], logged: [0.2, 0.5], other: [0.7, 0.1] },
] as const
const TRUTH = 0.5 * (0.1 * 1 + 0.2 * 3 + 0.7 * 5) + 0.5 * (0 * 4 + 0.9 * 2 + 0.1 * 1)
const CALLS = 500

/** Calls as the logging policy made them. */
function logged(lots: () => number, calls: number): Sample[] {
  return Array.from({ length: calls }, () => {
    const kind = lots() < 0.5 ? 0 : 1
    const action =
      actions[
        shareOf(
          actions.map((one) => one.logged[kind]),
          lots(),
        )
      ]
    if (!action) throw new Error('there is no such action')
    const noise = (lots() + lots() + lots() - 1.5) * action.mean[kind]
    return { weight: action.other[kind] / action.logged[kind], value: action.mean[kind] + noise }
  })
}

const means = (all: readonly number[]) => all.reduce((sum, one) => sum + one, 0) / all.length

describe('what another policy would have come to', () => {
  const lots = createLots(0.618)
  const runs = Array.from({ length: count(600, 6000) }, () => estimate(logged(lots, CALLS))).filter(
    (made): made is Estimates => made !== undefined,
  )

  it.each(['ips', 'snips'] as const)(
    'is told by %s without a bias, within bounds that hold 95 of 100 times',
    (kind) => {
      const made = runs.flatMap((one) => one[kind] ?? [])
      expect(made).toHaveLength(runs.length)
      expect(Math.abs(means(made.map(({ value }) => value)) / TRUTH - 1)).toBeLessThan(0.02)
      const held = means(made.map(({ low, high }) => Number(low <= TRUTH && TRUTH <= high)))
      expect(held).toBeGreaterThan(0.92)
      expect(held).toBeLessThan(0.98)
    },
  )

  it('is what it was where the other policy is the same', () => {
    const values = [1, 2, 3, 6]
    const made = estimate(values.map((value) => ({ weight: 1, value })))
    expect(made?.ips.value).toBe(3)
    expect(made?.snips).toEqual(made?.ips)
  })

  it('stays within the figures that there were, by SNIPS', () => {
    const samples = [
      { weight: 9, value: 10 },
      { weight: 0.1, value: 20 },
      { weight: 0, value: 900 },
    ]
    const { snips } = estimate(samples) ?? {}
    expect(snips?.value).toBeGreaterThanOrEqual(10)
    expect(snips?.value).toBeLessThan(20)
  })

  it('is never bounded below nothing, as no figure is', () => {
    const samples = [
      { weight: 1, value: 0 },
      { weight: 1, value: 0 },
      { weight: 1, value: 9 },
    ]
    const { ips, snips } = estimate(samples) ?? {}
    expect(ips).toMatchObject({ value: 3, low: 0 })
    expect(snips).toMatchObject({ value: 3, low: 0 })
    expect(ips?.high).toBeGreaterThan(8)
  })

  it('is not told by one call, and not normalised by calls none of which it would have made', () => {
    expect(estimate([{ weight: 1, value: 1 }])).toBeUndefined()
    const nothing = { value: 0, low: 0, high: 0 }
    const unlike = [
      { weight: 0, value: 1 },
      { weight: 0, value: 2 },
    ]
    expect(estimate(unlike)).toEqual({ ips: nothing, snips: null })
  })
})

describe('the effective size', () => {
  it.each([
    [[], 0],
    [[0, 0], 0],
    [[1, 1, 1, 1], 4],
    [[2, 2, 0, 0], 2],
    [[100, 1e-9], 1],
  ])('of weights %j is %d', (weights, size) => {
    expect(effectiveSize(weights)).toBeCloseTo(size, 6)
  })
})
