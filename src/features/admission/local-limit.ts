import type { Limit } from '../../core/admission.ts'

/** Share of a limit that one isolate lets through while Redis cannot be asked. */
const SHARE = 0.1
/** What adding and taking away times as large as today's leaves of rounding. */
const ROUNDING_MS = 0.001

/**
 * Stands in for the request limits while Redis is away: a token bucket per limit in this isolate's memory.
 * Returns the wait in ms of the first limit that refuses, or 0.
 */
export function createLocalLimit(): (limits: readonly Limit[], nowMs: number) => number {
  const arrivals = new Map<string, number>()
  return (limits, nowMs) => {
    const requests = limits.filter((limit) => limit.metric === 'requests')
    const next = requests.map((limit) => {
      const stepMs = 60_000 / (limit.perMinute * SHARE)
      const arrival = Math.max(arrivals.get(limit.id) ?? nowMs, nowMs) + stepMs
      const overMs = arrival - nowMs - stepMs * Math.max(1, limit.burst * SHARE)
      return { id: limit.id, arrival, overMs }
    })
    const refused = next.find(({ overMs }) => overMs > ROUNDING_MS)
    if (refused) return Math.ceil(refused.overMs)
    for (const { id, arrival } of next) arrivals.set(id, arrival)
    return 0
  }
}
