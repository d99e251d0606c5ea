import type { Limit } from '../../core/admission.ts'
import { countedLimits, frameOf } from '../limits/service.ts'

/** Share of a limit that one isolate lets through while Redis cannot be asked. */
const SHARE = 0.1
/** What adding and taking away times as large as today's leaves of rounding. */
const ROUNDING_MS = 0.001

/** A token bucket in one isolate, kept as the time at which it would be empty; `burst` is what it holds here. */
type Bucket = { nowMs: number; windowMs: number; amount: number; burst: number }

/** When the bucket would be empty after one more request, and how long that one has to wait: 0 if it may pass now. */
export function nextArrival(emptyMs: number, { nowMs, windowMs, amount, burst }: Bucket) {
  const stepMs = windowMs / (amount * SHARE)
  const arrivalMs = Math.max(emptyMs, nowMs) + stepMs
  const overMs = arrivalMs - nowMs - stepMs * Math.max(1, burst)
  return { arrivalMs, waitMs: overMs > ROUNDING_MS ? Math.ceil(overMs) : 0 }
}

/**
 * Stands in for the request limits while Redis is away: a token bucket per limit in this isolate's memory.
 * Returns the wait in ms of the first limit that refuses, or 0.
 */
export function createLocalLimit(): (limits: readonly Limit[], nowMs: number) => number {
  const arrivals = new Map<string, number>()
  return (limits, nowMs) => {
    const next = countedLimits(limits)
      .filter(isHeld)
      .map(({ id, ...limit }) => {
        const { windowMs } = frameOf('', { id, ...limit }, nowMs)
        const { amount, burst = amount } = limit
        return { id, ...nextArrival(arrivals.get(id) ?? nowMs, { nowMs, windowMs, amount, burst: burst * SHARE }) }
      })
    const refused = next.find(({ waitMs }) => waitMs > 0)
    if (refused) return refused.waitMs
    for (const { id, arrivalMs } of next) arrivals.set(id, arrivalMs)
    return 0
  }
}

/** Tokens are not counted without Redis, and what only monitors refuses nobody. */
const isHeld = ({ metric, mode }: Limit): boolean => metric === 'requests' && mode === 'enforce'
