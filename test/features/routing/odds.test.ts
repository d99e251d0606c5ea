import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { strategies } from '../../../src/core/routing.ts'
import { oddsOf } from '../../../src/features/routing/odds.ts'
import { arrange, type Option, type PlanInputs } from '../../../src/features/routing/plan.ts'
import { count } from '../../support/lane.ts'

const small = fc.integer({ min: 1, max: 3 })

const anOption = fc.record(
  {
    out: fc.constant('breaker_open'),
    tier: fc.integer({ min: 0, max: 1 }),
    spare: fc.constant(true as const),
    priority: small,
    weight: fc.integer({ min: 1, max: 10 }).map((weight) => weight / 4),
    cost_nanos: fc.integer({ min: 0, max: 10 }).map((cost) => cost * 1_000_000),
    latency_ms: fc.integer({ min: 1, max: 5 }).map((latency) => latency * 500),
    quality: fc.integer({ min: 5, max: 10 }),
  },
  { requiredKeys: [] },
)

const someInputs: fc.Arbitrary<PlanInputs> = fc.record({
  strategy: fc.constantFrom(...strategies),
  options: fc
    .array(anOption, { maxLength: 6 })
    .map((options): Option[] => options.map((option, at) => ({ ...option, id: `a/${at}` }))),
  most: fc.constant(3),
  soft: fc.constantFrom({}, { max_latency_ms: 1500, min_quality: 7 }),
  epsilon: fc.constantFrom(0, 0.1, 1),
})

/** Lots and turns spread evenly over all that there may be. */
const LOTS = 240

describe('the odds of a plan', () => {
  it('are those with which each is the first', () => {
    fc.assert(
      fc.property(someInputs, (inputs) => {
        const odds = oddsOf(inputs)
        const firsts = new Map<string, number>()
        for (let at = 0; at < LOTS; at += 1) {
          const { ordered, propensity } = arrange({ ...inputs, random: (at + 0.5) / LOTS, turn: at })
          const [first] = ordered
          if (!first) continue
          expect(odds.get(first.id)).toBeCloseTo(propensity, 10)
          firsts.set(first.id, (firsts.get(first.id) ?? 0) + 1 / LOTS)
        }
        for (const [id, share] of odds) expect(Math.abs((firsts.get(id) ?? 0) - share)).toBeLessThan(0.01)
        const total = [...odds.values()].reduce((sum, share) => sum + share, 0)
        expect(total).toBeCloseTo(firsts.size === 0 ? 0 : 1, 10)
      }),
      { numRuns: count(200, 5000) },
    )
  })

  it('are none where nothing may be tried', () => {
    expect(oddsOf({ strategy: 'random', options: [{ id: 'a/b', out: 'cooling' }], most: 3 }).size).toBe(0)
  })
})
