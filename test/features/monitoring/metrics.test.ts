import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countersOf } from '../../../src/features/ledger/counters.ts'
import { render, renderBreakers } from '../../../src/features/monitoring/metrics.ts'
import { errorIn } from '../../support/client-error.ts'
import { startGateway } from '../../support/gateway.ts'
import { ledgerRow } from '../../support/ledger-row.ts'
import { parseMetrics } from '../../support/prometheus.ts'

type Row = Parameters<typeof countersOf>[0]

/** The hash as Redis holds it after these calls. */
function hashOf(rows: readonly Row[]): Record<string, string> {
  const fields = new Map<string, number>()
  for (const [metric, labels, amount] of rows.flatMap(countersOf)) {
    const field = `${metric}{${labels}}`
    fields.set(field, (fields.get(field) ?? 0) + amount)
  }
  return Object.fromEntries([...fields].map(([field, value]) => [field, String(value)]))
}

const calls = fc.array(
  fc.record({
    provider: fc.constantFrom('openai', 'ollama'),
    model: fc.oneof(
      fc.constantFrom('gpt-4o', 'a{b}="c",\\d'),
      fc.string({ unit: 'grapheme-composite', maxLength: 12 }),
    ),
    latency_ms: fc.integer({ min: 0, max: 700_000 }),
    prompt_tokens: fc.nat(10_000),
    completion_tokens: fc.nat(10_000),
    cost_nanos: fc.nat(1_000_000_000),
    status: fc.constantFrom('ok' as const, 'error' as const),
    error_code: fc.constantFrom(null, 'provider_error'),
  }),
  { maxLength: 40 },
)

describe('the text of the metrics', () => {
  it('is what Prometheus reads, whatever a caller named a model, and loses no call', () => {
    fc.assert(
      fc.property(calls, (given) => {
        const rows = given.map((fields) => ledgerRow(fields))
        const metrics = parseMetrics(render(hashOf(rows)))
        const total = (name: string) =>
          metrics.samples.filter((sample) => sample.name === name).reduce((sum, { value }) => sum + value, 0)
        const sum = (of: (row: Row) => number) => rows.reduce((all, row) => all + of(row), 0)
        expect(total('helix_requests_total')).toBe(rows.length)
        expect(total('helix_request_duration_seconds_count')).toBe(rows.length)
        expect(total('helix_request_duration_seconds_sum')).toBeCloseTo(sum((row) => row.latency_ms) / 1000, 3)
        expect(total('helix_llm_cost_nanos_total')).toBe(sum((row) => row.cost_nanos))
        expect(total('helix_tokens_used_total')).toBe(sum((row) => row.prompt_tokens + row.completion_tokens))
        const named = new Set(rows.map(({ provider, model }) => JSON.stringify([provider, model])))
        const shown = metrics.samples.flatMap(({ labels }) => (labels.model === undefined ? [] : [labels]))
        expect(new Set(shown.map(({ provider, model }) => JSON.stringify([provider, model])))).toEqual(named)
      }),
    )
  })

  it('shows every edge of a histogram, also those below its fastest call', () => {
    const metrics = parseMetrics(render(hashOf([ledgerRow({ latency_ms: 3000 })])))
    const buckets = metrics.samples.filter(({ name }) => name === 'helix_request_duration_seconds_bucket')
    expect(buckets.map(({ labels, value }) => [labels.le, value])).toEqual([
      ['0.1', 0],
      ['0.25', 0],
      ['0.5', 0],
      ['1', 0],
      ['2.5', 0],
      ['5', 1],
      ['10', 1],
      ['30', 1],
      ['60', 1],
      ['120', 1],
      ['+Inf', 1],
    ])
  })

  it('grows by no name that an organisation gave its own account or a model of it', () => {
    const rows = Array.from({ length: 50 }, (_, at) => [
      ledgerRow({ provider: `mine-${at}`, model: `m${at}`, error_code: 'provider_error' }),
      ledgerRow({ provider: 'openai', model: `m${at}`, price_id: `prv_1/m${at}@0` }),
      ledgerRow({ provider: `node-${at}`, model: `m${at}`, price_id: 'node@free' }),
    ]).flat()
    const { samples } = parseMetrics(render(hashOf(rows)))
    expect(new Set(samples.map(({ labels }) => labels.provider))).toEqual(new Set(['own', 'openai']))
    expect(new Set(samples.flatMap(({ labels }) => labels.model ?? []))).toEqual(new Set(['other']))
    const total = samples.filter(({ name }) => name === 'helix_requests_total')
    expect(total.reduce((sum, { value }) => sum + value, 0)).toBe(150)
  })

  it('tells of every breaker that has moved how it is now', () => {
    const moved = { 'openai/gpt-4o': '2000', 'groq/"llama"': '1000', 'deepseek/deepseek-chat': '0' }
    const { samples } = parseMetrics(renderBreakers(moved, 1500))
    expect(samples.map(({ name, labels, value }) => [name, labels.target, value])).toEqual([
      ['helix_breaker_state', 'deepseek/deepseek-chat', 0],
      ['helix_breaker_state', 'groq/"llama"', 2],
      ['helix_breaker_state', 'openai/gpt-4o', 1],
    ])
    expect(renderBreakers(null, 1500)).toBe('')
  })

  it('is empty before the first call', () => {
    for (const nothing of [null, undefined, {}]) expect(render(nothing)).toBe('')
  })
})

describe('the reader of the text', () => {
  it.each([
    ['a sample of no family', 'a_total 1\n'],
    ['no end of line', '# HELP a_total x\n# TYPE a_total counter\na_total 1'],
    ['a sample twice', '# HELP a_total x\n# TYPE a_total counter\na_total{b="c"} 1\na_total{b="c"} 2\n'],
    ['a bare quote in a label', '# HELP a_total x\n# TYPE a_total counter\na_total{b="c"d"} 1\n'],
    ['no number', '# HELP a_total x\n# TYPE a_total counter\na_total NaN?\n'],
    [
      'falling buckets',
      '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    ],
    ['no last bucket', '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n'],
  ])('refuses %s', (_what, text) => {
    expect(() => parseMetrics(text)).toThrow()
  })
})

describe('GET /metrics', () => {
  it('is 503 in problem+json while Redis is away', async () => {
    const { call, redis } = await startGateway({ policy: { scopes: ['monitoring:read'] } })
    expect((await call('/metrics')).status).toBe(200)
    redis.away(true)
    const error = await errorIn(await call('/metrics'))
    expect(error).toMatchObject({ status: 503, code: 'dependency_unavailable' })
  })
})
