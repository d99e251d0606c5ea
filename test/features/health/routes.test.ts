import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { HealthCheck, ProviderChecks } from '../../../src/core/health.ts'
import { errorIn } from '../../support/client-error.ts'
import { startGateway } from '../../support/gateway.ts'

const NOW = 1_800_000_000_000

const checksOf = (marks: string): HealthCheck[] =>
  [...marks].map((mark, at) => ({
    atMs: NOW - (marks.length - at) * 30_000,
    isOk: mark === '+',
    latencyMs: 100 + at,
    reason: mark === '+' ? null : 'connect',
  }))

const Told = z.looseObject({ checks: z.array(z.unknown()) })

/** A gateway whose monitor has found this; openai and mistral are configured. */
async function gatewayFinding(found: Record<string, string> | Error) {
  let reads = 0
  const read = async (): Promise<ProviderChecks[]> => {
    reads += 1
    if (found instanceof Error) throw found
    return Object.entries(found).map(([name, marks]) => ({ name, checks: checksOf(marks) }))
  }
  const gateway = await startGateway({
    vendors: ['openai', 'mistral'],
    now: () => NOW,
    policy: { scopes: ['providers:read'] },
    deps: { health: { read } },
  })
  return { ...gateway, reads: () => reads }
}

describe('GET /v1/providers', () => {
  it('lists what is configured with its models and how it is, and no address or key', async () => {
    const { call } = await gatewayFinding({ openai: '+++', mistral: '+--' })
    const text = await (await call('/v1/providers')).text()
    expect(JSON.parse(text)).toMatchObject({
      object: 'list',
      data: [
        {
          name: 'openai',
          kind: 'vendor',
          status: 'healthy',
          latency_p50_ms: 101,
          latency_p95_ms: 102,
          last_checked_at: NOW / 1000 - 30,
          models: expect.arrayContaining(['gpt-4o', 'text-embedding-3-small']),
        },
        { name: 'mistral', status: 'unhealthy', models: expect.arrayContaining(['mistral-large-latest']) },
      ],
    })
    expect(text).not.toMatch(/https?:|sk-/)
  })
})

describe('GET /v1/providers/health', () => {
  it('counts them', async () => {
    const { call } = await gatewayFinding({ openai: '++-' })
    expect(await (await call('/v1/providers/health')).json()).toMatchObject({
      total: 2,
      healthy: 0,
      degraded: 1,
      unhealthy: 0,
      unknown: 1,
      providers: [
        { name: 'openai', status: 'degraded' },
        { name: 'mistral', status: 'unknown', latency_p50_ms: null, last_checked_at: null },
      ],
    })
  })

  it('knows of nobody while the monitor is away', async () => {
    const { call } = await gatewayFinding(new Error('away'))
    expect(await (await call('/v1/providers/health')).json()).toMatchObject({ total: 2, unknown: 2 })
  })

  it('asks the monitor once for many who ask', async () => {
    const { call, reads } = await gatewayFinding({ openai: '+' })
    for (const path of ['/v1/providers', '/v1/providers/health', '/v1/health', '/v1/health']) await call(path)
    expect(reads()).toBe(1)
  })
})

describe('GET /v1/providers/{name}/health', () => {
  it.each([
    ['+++', 200, 'healthy'],
    ['++-', 200, 'degraded'],
    ['+--', 503, 'unhealthy'],
    ['', 200, 'unknown'],
  ])('of one whose checks were "%s" is %d', async (marks, status, word) => {
    const { call } = await gatewayFinding({ openai: marks })
    const response = await call('/v1/providers/openai/health')
    expect(response.status).toBe(status)
    const body = Told.parse(await response.json())
    expect(body).toMatchObject({ name: 'openai', status: word })
    expect(body.checks).toHaveLength(marks.length)
    if (marks !== '') {
      expect(body.checks[0]).toEqual({
        checked_at: NOW / 1000 - 30,
        ok: marks.endsWith('+'),
        latency_ms: 102,
        reason: marks.endsWith('+') ? null : 'connect',
      })
    }
  })

  it('of one that nobody has configured is 404', async () => {
    const { call } = await gatewayFinding({ openai: '+', groq: '+' })
    expect(await errorIn(await call('/v1/providers/groq/health'))).toMatchObject({ status: 404, code: 'not_found' })
  })
})

describe('GET /v1/health', () => {
  it.each([
    [{ openai: '+', mistral: '+' }, 200, 'ok'],
    [{ openai: '+', mistral: '--' }, 200, 'degraded'],
    [{}, 200, 'degraded'],
    [{ openai: '--', mistral: '--' }, 503, 'unhealthy'],
  ])('says of %j in a word how it is, to anybody', async (found, status, word) => {
    const { gateway } = await gatewayFinding(found)
    const response = await gateway(new Request('https://gateway.test/v1/health'))
    expect(response.status).toBe(status)
    const body = await response.json()
    expect(body).toMatchObject({ status: word, total: 2 })
    expect(JSON.stringify(body)).not.toContain('openai')
  })
})
