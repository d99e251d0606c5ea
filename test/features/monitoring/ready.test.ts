import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { type Provider, UpstreamError } from '../../../src/core/models.ts'
import { startGateway } from '../../support/gateway.ts'
import { node, provider } from '../routing/world.ts'

const Report = z.strictObject({
  status: z.enum(['ready', 'degraded', 'not_ready']),
  checks: z.record(z.string(), z.strictObject({ state: z.enum(['ok', 'failed', 'absent']), latency_ms: z.int() })),
})

const vendor = provider('openai')
const answering = node('ollama', async () => [])
const silent = node('ollama', async () => {
  throw new UpstreamError('connect', 'gone')
})

type Postgres = 'ok' | 'away' | 'hanging'

/** A gateway whose Postgres does as told, on a clock that only the test moves. */
async function start(providers: readonly Provider[], postgres: Postgres = 'ok') {
  let [nowMs, asked, mode] = [1_000_000, 0, postgres]
  const query: Database['query'] = async () => {
    asked += 1
    if (mode === 'away') throw new DependencyError('postgres', new Error('away'))
    return mode === 'hanging' ? new Promise<never>(() => {}) : []
  }
  const db: Database = {
    query,
    atomically: () => {
      throw new Error('not asked here')
    },
  }
  const named = new Map(providers.map((one) => [one.name, one]))
  const { call, redis } = await startGateway({ now: () => nowMs, deps: { db, providers: named } })
  const ready = async (path = '/ready') => {
    const response = await call(path, undefined, { headers: { authorization: '' } })
    const { status: said, checks } = Report.parse(await response.json())
    const states = Object.values(checks).map(({ state }) => state)
    return [response.status, said, Object.keys(checks).join(' '), ...states]
  }
  return {
    ready,
    redis,
    asked: () => asked,
    postgres: (next: Postgres) => {
      mode = next
    },
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

const names = 'postgres redis provider_any node_any'

describe('GET /ready', () => {
  it.each([
    ['a vendor', [vendor], 200, 'ready', 'ok', 'absent'],
    ['a node', [answering], 200, 'ready', 'absent', 'ok'],
    ['both', [vendor, answering], 200, 'ready', 'ok', 'ok'],
    ['a vendor, and a node that is silent', [vendor, silent], 200, 'degraded', 'ok', 'failed'],
    ['a node that is silent', [silent], 503, 'not_ready', 'absent', 'failed'],
    ['nobody to ask', [], 503, 'not_ready', 'absent', 'absent'],
  ])('with %s', async (_what, providers, status, said, vendors, nodes) => {
    const { ready } = await start(providers)
    expect(await ready()).toEqual([status, said, names, 'ok', 'ok', vendors, nodes])
  })

  it('is degraded without Redis', async () => {
    const { ready, redis } = await start([vendor])
    redis.away(true)
    expect(await ready()).toEqual([200, 'degraded', names, 'ok', 'failed', 'ok', 'absent'])
  })

  it('is not ready without Postgres, whether it refuses or hangs', async () => {
    for (const postgres of ['away', 'hanging'] as const) {
      const { ready } = await start([vendor], postgres)
      expect(await ready()).toEqual([503, 'not_ready', names, 'failed', 'ok', 'ok', 'absent'])
    }
  })

  it('asks at most every five seconds, whoever comes by whatever path', async () => {
    const { ready, asked, pass, postgres } = await start([vendor])
    await ready()
    postgres('away')
    pass(4999)
    expect((await ready('/api/v1/ready')).slice(0, 2)).toEqual([200, 'ready'])
    expect(asked()).toBe(1)
    pass(1)
    expect((await ready()).slice(0, 2)).toEqual([503, 'not_ready'])
    postgres('ok')
    pass(5000)
    const crowd = await Promise.all(Array.from({ length: 20 }, () => ready()))
    expect(asked()).toBe(3)
    expect(crowd.filter(([status]) => status === 200)).toHaveLength(1)
    expect((await ready())[0]).toBe(200)
  })
})
