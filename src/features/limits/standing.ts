import type { Limit } from '../../core/admission.ts'
import type { Frame } from './windows.ts'

/** The same sums as the admission script's, for a request that is not made. */
export function standingOf(
  limit: Limit,
  { kind, keys, windowMs, intoMs }: Frame,
  { states, nowMs }: { states: ReadonlyMap<string, string>; nowMs: number },
): { remaining: number; resetMs: number } {
  const [state, before] = keys.map((key) => states.get(key))
  if (kind === 'bucket') return bucketStanding(limit, state, { windowMs, nowMs })
  const [taken, last] = [Number(state ?? 0), Number(before ?? 0)]
  if (kind === 'fixed') return { remaining: limit.amount - taken, resetMs: windowMs - intoMs }
  const used = taken + (last * (windowMs - intoMs)) / windowMs
  const resetMs = taken > 0 ? 2 * windowMs - intoMs : last > 0 ? windowMs - intoMs : 0
  return { remaining: Math.floor(limit.amount - used), resetMs }
}

function bucketStanding(
  { amount, burst = amount }: Limit,
  state: string | undefined,
  { windowMs, nowMs }: { windowMs: number; nowMs: number },
): { remaining: number; resetMs: number } {
  const [since = nowMs, stored = 0] = state?.split(':').map(Number) ?? []
  const capacity = burst * windowMs
  const level = Math.max(0, Math.min(capacity, stored) - Math.max(0, nowMs - since) * amount)
  const aheadMs = Math.max(0, since - nowMs)
  return { remaining: Math.floor((capacity - level) / windowMs), resetMs: aheadMs + Math.ceil(level / amount) }
}
