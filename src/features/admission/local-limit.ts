import type { Limit } from '../../core/admission.ts'
import { countedLimits, frameOf } from '../limits/service.ts'

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
    const next = countedLimits(limits)
      .filter(isHeld)
      .map((limit) => {
        const stepMs = frameOf('', limit, nowMs).windowMs / (limit.amount * SHARE)
        const arrival = Math.max(arrivals.get(limit.id) ?? nowMs, nowMs) + stepMs
        const overMs = arrival - nowMs - stepMs * Math.max(1, (limit.burst ?? limit.amount) * SHARE)
        return { id: limit.id, arrival, overMs }
      })
    const refused = next.find(({ overMs }) => overMs > ROUNDING_MS)
    if (refused) return Math.ceil(refused.overMs)
    for (const { id, arrival } of next) arrivals.set(id, arrival)
    return 0
  }
}

/** Tokens are not counted without Redis, and what only monitors refuses nobody. */
const isHeld = ({ metric, mode }: Limit): boolean => metric === 'requests' && mode === 'enforce'
