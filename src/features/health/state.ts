import type { HealthCheck } from '../../core/health.ts'

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy' | 'unknown'

/** What was found longer ago says nothing about now: nobody has watched since. */
export const STALE_MS = 6 * 60_000
const SLOW_MS = 5000

/** How a provider is by its last checks (the oldest first), as far as they are of now. */
export function statusOf(checks: readonly HealthCheck[], nowMs: number): HealthStatus {
  const fresh = freshOf(checks, nowMs)
  const [last, before, third] = fresh.toReversed()
  if (!last) return 'unknown'
  if (!last.isOk && before?.isOk === false) return 'unhealthy'
  if ([last, before, third].some((check) => check?.isOk === false)) return 'degraded'
  return (latencyOf(fresh, 0.95) ?? 0) > SLOW_MS ? 'degraded' : 'healthy'
}

export const freshOf = (checks: readonly HealthCheck[], nowMs: number): readonly HealthCheck[] =>
  checks.filter(({ atMs }) => atMs > nowMs - STALE_MS)

/** The time that this share (0 < share ≤ 1) of the answered checks stayed within; undefined when none was answered. */
export function latencyOf(checks: readonly HealthCheck[], share: number): number | undefined {
  const times = checks.flatMap(({ isOk, latencyMs }) => (isOk ? [latencyMs] : [])).sort((one, other) => one - other)
  return times[Math.ceil(share * times.length) - 1]
}
