import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HealthCheck } from '../../../src/core/health.ts'
import { latencyOf, STALE_MS, statusOf } from '../../../src/features/health/state.ts'
import { totalsOf, wordFor } from '../../../src/features/health/view.ts'
import { count } from '../../support/lane.ts'

const NOW = 1_800_000_000_000

/** Checks half a minute apart, the last of them now; `+` is one that was answered. */
const checksOf = (marks: string, latencyMs = 100): HealthCheck[] =>
  [...marks].map((mark, at) => ({
    atMs: NOW - (marks.length - 1 - at) * 30_000,
    isOk: mark === '+',
    latencyMs,
    reason: mark === '+' ? null : 'connect',
  }))

describe('a provider', () => {
  it.each([
    ['', 'unknown'],
    ['+', 'healthy'],
    ['-', 'degraded'],
    ['++++++++++', 'healthy'],
    ['+++++++++-', 'degraded'],
    ['++++++++--', 'unhealthy'],
    ['--+', 'degraded'],
    ['--++', 'degraded'],
    ['--+++', 'healthy'],
    ['-+-', 'degraded'],
    ['----------', 'unhealthy'],
  ])('whose last checks were "%s" is %s', (marks, status) => {
    expect(statusOf(checksOf(marks), NOW)).toBe(status)
  })

  it('that is slow now and then is degraded', () => {
    expect(statusOf(checksOf('+++', 5000), NOW)).toBe('healthy')
    expect(statusOf(checksOf('+++', 5001), NOW)).toBe('degraded')
    expect(statusOf([...checksOf('+++++++++'), ...checksOf('+', 6000)], NOW)).toBe('degraded')
  })

  it('that nobody has looked at for minutes is unknown', () => {
    expect(statusOf(checksOf('++'), NOW + STALE_MS)).toBe('unknown')
    // Only what is of now counts: a failure of long ago and one just now are not two in a row.
    const [old] = checksOf('-').map((check) => ({ ...check, atMs: NOW - STALE_MS }))
    expect(statusOf([...(old ? [old] : []), ...checksOf('-')], NOW)).toBe('degraded')
  })
})

describe('latencies', () => {
  it('are of one of the answered checks, and grow with their share', () => {
    const times = fc.array(fc.record({ isOk: fc.boolean(), latencyMs: fc.nat(60_000) }), { maxLength: 10 })
    fc.assert(
      fc.property(times, (found) => {
        const checks = found.map((check) => ({ ...check, atMs: NOW, reason: null }))
        const answered = found.flatMap(({ isOk, latencyMs }) => (isOk ? [latencyMs] : []))
        const [p50, p95] = [latencyOf(checks, 0.5), latencyOf(checks, 0.95)]
        if (answered.length === 0) {
          expect([p50, p95]).toEqual([undefined, undefined])
          return
        }
        expect(answered).toContain(p50)
        expect(answered).toContain(p95)
        expect(p95).toBeGreaterThanOrEqual(p50 ?? 0)
        expect(answered.filter((ms) => ms <= (p50 ?? 0)).length * 2).toBeGreaterThanOrEqual(answered.length)
      }),
      { numRuns: count(100, 2000) },
    )
  })
})

describe('the whole', () => {
  it.each([
    [['healthy', 'healthy'], 'ok'],
    [['healthy', 'degraded'], 'degraded'],
    [['healthy', 'unhealthy'], 'degraded'],
    [['healthy', 'unknown'], 'degraded'],
    [['unknown'], 'degraded'],
    [['unhealthy', 'unhealthy'], 'unhealthy'],
    [[], 'unhealthy'],
  ] as const)('of %j is %s', (statuses, word) => {
    const totals = totalsOf(statuses.map((status) => ({ status })))
    expect(totals.healthy + totals.degraded + totals.unhealthy + totals.unknown).toBe(totals.total)
    expect(wordFor(totals)).toBe(word)
  })
})
