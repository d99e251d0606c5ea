import * as z from 'zod'
import type { HealthCheck } from '../../core/health.ts'
import type { Provider } from '../../core/models.ts'
import { freshOf, type HealthStatus, latencyOf, statusOf } from './state.ts'

const Status = z.enum(['healthy', 'degraded', 'unhealthy', 'unknown'])
const Ms = z.int().nullable().describe('Of the checks that were answered.')

export const ProviderHealth = z.object({
  name: z.string(),
  kind: z.enum(['vendor', 'node']),
  status: Status.describe('`unknown` before the first check, and of accounts that an organisation has itself.'),
  latency_p50_ms: Ms,
  latency_p95_ms: Ms,
  last_checked_at: z.int().nullable().describe('Unix seconds.'),
})
export type ProviderHealth = z.output<typeof ProviderHealth>

export const ProviderDetails = ProviderHealth.extend({
  checks: z
    .array(
      z.object({
        checked_at: z.int().describe('Unix seconds.'),
        ok: z.boolean(),
        latency_ms: z.int(),
        reason: z.string().nullable().describe('What went wrong, in one word.'),
      }),
    )
    .describe('The last ten, newest first.'),
})
export type ProviderDetails = z.output<typeof ProviderDetails>

const Count = z.int()
export const Totals = z.object({
  total: Count,
  healthy: Count,
  degraded: Count,
  unhealthy: Count,
  unknown: Count,
})
export type Totals = z.output<typeof Totals>

const secondsOf = (ms: number | undefined): number | null => (ms === undefined ? null : Math.floor(ms / 1000))

export function healthOf({ name, kind }: Provider, checks: readonly HealthCheck[], nowMs: number): ProviderHealth {
  const fresh = freshOf(checks, nowMs)
  return {
    name,
    kind,
    status: statusOf(checks, nowMs),
    latency_p50_ms: latencyOf(fresh, 0.5) ?? null,
    latency_p95_ms: latencyOf(fresh, 0.95) ?? null,
    last_checked_at: secondsOf(checks.at(-1)?.atMs),
  }
}

export const checksOf = (checks: readonly HealthCheck[]): ProviderDetails['checks'] =>
  checks.toReversed().map(({ atMs, isOk, latencyMs, reason }) => {
    return { checked_at: Math.floor(atMs / 1000), ok: isOk, latency_ms: latencyMs, reason }
  })

export function totalsOf(providers: readonly { status: HealthStatus }[]): Totals {
  const count = (status: HealthStatus) => providers.filter((one) => one.status === status).length
  return {
    total: providers.length,
    healthy: count('healthy'),
    degraded: count('degraded'),
    unhealthy: count('unhealthy'),
    unknown: count('unknown'),
  }
}

/** All of it in a word: what nobody has looked at yet is no reason to call the whole unhealthy. */
export function wordFor({ total, healthy, unhealthy }: Totals): 'ok' | 'degraded' | 'unhealthy' {
  if (total > 0 && healthy === total) return 'ok'
  return unhealthy === total ? 'unhealthy' : 'degraded'
}
