import type { Limit, RateState } from '../../core/admission.ts'
import { countedLimits } from '../limits/service.ts'
import type { Standing } from './script-call.ts'

/**
 * The tightest of a caller's limits of one metric is what its headers tell: the one with the least left, and of equals
 * the one that is longest in coming back. What only monitors is not told.
 */
export function rateOf(
  limits: readonly Limit[],
  rates: readonly Standing[],
  metric: 'requests' | 'tokens',
): RateState | undefined {
  let tightest: RateState | undefined
  countedLimits(limits).forEach((limit, at) => {
    const rate = rates[at]
    if (limit.metric !== metric || limit.mode === 'monitor' || !rate) return
    const state = { limit: limit.amount, remaining: rate.remaining, resetSeconds: Math.ceil(rate.resetMs / 1000) }
    if (!tightest || isTighter(state, tightest)) tightest = state
  })
  return tightest
}

const isTighter = (one: RateState, other: RateState): boolean =>
  one.remaining < other.remaining || (one.remaining === other.remaining && one.resetSeconds > other.resetSeconds)
