import { describe, expect, it } from 'vitest'
import { compareVotes } from '../../scripts/bench/routing-ensembles.ts'
import { count, full } from '../support/lane.ts'

/** Of so few tasks in the default lane chance moves the figure by half a point and more. */
const most = full() ? 0.005 : 0.015

describe('a vote of three in a world where everything is known', () => {
  it.each([1, 11, 20_261])('is as right as can be, with fewer calls in turn (seed %i)', (seed) => {
    const { majority, bayes, best, calls, differing } = compareVotes({ seed, tasks: count(1500, 20_000) })
    expect(bayes - majority).toBeLessThanOrEqual(most)
    expect(majority).toBeGreaterThan(best)
    expect(calls).toBeLessThanOrEqual(0.8)
    expect(differing).toBe(0)
  })
})
