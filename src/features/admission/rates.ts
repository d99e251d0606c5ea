import type { Limit, RateState } from '../../core/admission.ts'

/** The tightest of a caller's limits of one metric is what its headers tell. */
export function rateOf(
  limits: readonly Limit[],
  rates: readonly { remaining: number; resetMs: number }[],
  metric: Limit['metric'],
): RateState | undefined {
  let tightest: RateState | undefined
  limits.forEach((limit, at) => {
    const rate = rates[at]
    if (limit.metric !== metric || !rate) return
    if (tightest && tightest.remaining <= rate.remaining) return
    tightest = { limit: limit.perMinute, remaining: rate.remaining, resetSeconds: Math.ceil(rate.resetMs / 1000) }
  })
  return tightest
}
