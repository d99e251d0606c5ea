import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { errorIn } from '../support/client-error.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { parseMetrics } from '../support/prometheus.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let vendor: FakeVendor
const metricsToken = 'token-of-the-scraper-of-the-tests'

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, METRICS_TOKEN: metricsToken },
  })
})

afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

const Report = z.object({
  status: z.enum(['ready', 'degraded', 'not_ready']),
  checks: z.record(
    z.enum(['postgres', 'redis', 'provider_any', 'node_any']),
    z.strictObject({ state: z.enum(['ok', 'failed', 'absent']), latency_ms: z.int().min(0) }),
  ),
})

describe('GET /health', () => {
  it('touches nothing, and is fine while everything else is not', async () => {
    stack.redis.mode('refuse')
    stack.postgres.mode('refuse')
    const before = [stack.redis.requests(), stack.postgres.requests(), vendor.requests()]
    for (const path of ['/health', '/api/v1/health']) {
      const response = await fetch(`${stack.url}${path}`)
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual({
        status: 'ok',
        app_name: 'helix',
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        environment: 'test',
        timestamp: expect.any(Number),
      })
    }
    expect([stack.redis.requests(), stack.postgres.requests(), vendor.requests()]).toEqual(before)
    stack.redis.mode('pass')
    stack.postgres.mode('pass')
  })
})

describe('GET /ready', () => {
  const states = { postgres: 'ok', redis: 'ok', provider_any: 'ok', node_any: 'absent' }
  const reportOf = async (response: Response) => {
    const { status: said, checks } = Report.parse(await response.json())
    return {
      status: response.status,
      said,
      ...Object.fromEntries(Object.entries(checks).map(([name, { state }]) => [name, state])),
    }
  }

  it('asks the stores once for all who come', async () => {
    expect(await reportOf(await fetch(`${stack.url}/ready`))).toEqual({ status: 200, said: 'ready', ...states })
    const asked = [stack.redis.requests(), stack.postgres.requests()]
    await Promise.all(Array.from({ length: 10 }, () => fetch(`${stack.url}/api/v1/ready`)))
    expect([stack.redis.requests(), stack.postgres.requests()]).toEqual(asked)
  })

  it('tells what a fresh isolate finds missing', async () => {
    const vars = { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, OLLAMA_BASE_URL: 'http://127.0.0.1:9' }
    const fresh = await startStack({ vars })
    try {
      fresh.postgres.mode('refuse')
      fresh.redis.mode('refuse')
      expect(await reportOf(await fetch(`${fresh.url}/ready`))).toEqual({
        status: 503,
        said: 'not_ready',
        postgres: 'failed',
        redis: 'failed',
        provider_any: 'ok',
        node_any: 'failed',
      })
    } finally {
      await fresh.close()
    }
  })
})

describe('GET /metrics', () => {
  const read = async (credential: string) => {
    const response = await stack.call(credential, '/metrics')
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    return parseMetrics(await response.text())
  }
  const ask = (apiKey: string, model: string, words: string) =>
    stack.call(apiKey, '/v1/chat/completions', { model, messages: [{ role: 'user', content: words }] })

  it('counts what was refused for the platform, and shows it to no organisation', async () => {
    const { apiKey } = await stack.org()
    const refused = { code: 'permission_denied' }
    const before = (await read(metricsToken)).value('helix_refused_total', refused) ?? 0
    const narrow = await stack.org({ scopes: ['models:read'] })
    for (let call = 0; call < 3; call++) expect((await ask(narrow.apiKey, 'gpt-4o', 'Hello')).status).toBe(403)
    await ask(apiKey, 'gpt-4o', 'Hello')
    await vi.waitFor(
      async () => expect((await read(metricsToken)).value('helix_refused_total', refused)).toBe(before + 3),
      { timeout: 10_000, interval: 100 },
    )
    expect((await read(apiKey)).value('helix_refused_total', refused)).toBeUndefined()
  })

  it("counts an organisation's own calls exactly, and nobody else's", async () => {
    const [mine, theirs, idle] = await Promise.all([stack.org(), stack.org(), stack.org()])
    const before = await read(metricsToken)
    const calls = [
      ...Array.from({ length: 7 }, () => ask(mine.apiKey, 'gpt-4o', 'Hello')),
      ...Array.from({ length: 2 }, () => ask(mine.apiKey, 'openai/"odd\\name"', 'fault:status=401')),
      ...Array.from({ length: 3 }, () => ask(theirs.apiKey, 'gpt-4o', 'Hello')),
    ]
    const usages = (await Promise.all((await Promise.all(calls)).map((response) => response.json()))) as {
      usage?: { prompt_tokens: number; completion_tokens: number }
    }[]
    const own = usages.slice(0, 7).flatMap(({ usage }) => (usage ? [usage] : []))
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0)
    const ok = { provider: 'openai', model: 'gpt-4o', operation: 'chat' }
    // A name of the caller's own making is counted, but does not become a label.
    const odd = { provider: 'openai', model: 'other', operation: 'chat' }

    const metrics = await vi.waitFor(
      async () => {
        const seen = await read(mine.apiKey)
        expect(seen.value('helix_requests_total', { ...ok, status: 'ok' })).toBe(7)
        expect(seen.value('helix_requests_total', { ...odd, status: 'error' })).toBe(2)
        return seen
      },
      { timeout: 10_000, interval: 100 },
    )
    expect(metrics.value('helix_errors_total', { provider: 'openai', class: 'provider_error' })).toBe(2)
    const tokens = (direction: string) =>
      metrics.value('helix_tokens_used_total', { provider: 'openai', model: 'gpt-4o', direction })
    expect(tokens('input')).toBe(sum(own.map(({ prompt_tokens: prompt }) => prompt)))
    expect(tokens('output')).toBe(sum(own.map(({ completion_tokens: completion }) => completion)))
    const [cost] = await stack.query('select sum(cost_nanos) as nanos from usage_ledger where org_id = $1', [
      mine.orgId,
    ])
    expect(metrics.value('helix_llm_cost_nanos_total', ok)).toBe(Number(cost?.nanos))
    expect(metrics.value('helix_request_duration_seconds_count', ok)).toBe(7)
    const [took] = await stack.query(
      "select sum(latency_ms) as ms from usage_ledger where org_id = $1 and status = 'ok'",
      [mine.orgId],
    )
    expect(metrics.value('helix_request_duration_seconds_sum', ok)).toBeCloseTo(Number(took?.ms) / 1000, 6)
    expect((await read(idle.apiKey)).samples).toEqual([])

    await vi.waitFor(
      async () => {
        const platform = await read(metricsToken)
        const grown = (labels: Record<string, string>) =>
          (platform.value('helix_requests_total', labels) ?? 0) - (before.value('helix_requests_total', labels) ?? 0)
        expect(grown({ ...ok, status: 'ok' })).toBe(10)
        expect(grown({ ...odd, status: 'error' })).toBe(2)
      },
      { timeout: 10_000, interval: 100 },
    )
  })

  it('is for those who may read it', async () => {
    const key = await stack.org({ scopes: ['chat:write', 'models:read'] })
    const refused = await stack.call(key.apiKey, '/metrics')
    expect(await errorIn(refused)).toMatchObject({ status: 403, code: 'permission_denied' })
    expect((await fetch(`${stack.url}/metrics`)).status).toBe(401)
    expect((await stack.call(`${metricsToken}x`, '/metrics')).status).toBe(401)
    expect((await stack.call(metricsToken, '/api/v1/metrics')).status).toBe(200)
    for (const path of ['/v1/models', '/v1/chat/completions']) {
      const response = await stack.call(metricsToken, path, path === '/v1/models' ? undefined : { model: 'gpt-4o' })
      expect(response.status).toBe(403)
    }
  })

  it("without METRICS_TOKEN nobody reads the platform's", async () => {
    const fresh = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
    try {
      expect((await fresh.call(metricsToken, '/metrics')).status).toBe(401)
      expect((await fetch(`${fresh.url}/metrics`, { headers: { authorization: 'Bearer ' } })).status).toBe(401)
    } finally {
      await fresh.close()
    }
  })
})
