import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Seeded } from '../../scripts/seed.ts'
import { createKey } from '../../src/features/keys/format.ts'
import { errorIn } from '../support/client-error.ts'
import { readClient } from '../support/client-events.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { full } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'

let vendor: FakeVendor
let stack: Stack

const vars = () => ({ OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url })

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: vars() })
})

afterEach(() => {
  stack.redis.mode('pass')
  stack.postgres.mode('pass')
})

afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

const hello = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello there' }] }
const ask = (on: Stack, { apiKey }: Seeded, fields: Record<string, unknown> = {}) =>
  on.call(apiKey, '/v1/chat/completions', { ...hello, ...fields })

/** A key that the isolate and Redis know. */
async function warmKey(on: Stack, options: Parameters<Stack['org']>[0] = {}): Promise<Seeded> {
  const key = await on.org(options)
  expect((await on.call(key.apiKey, '/v1/models')).status).toBe(200)
  return key
}

async function elapsed<T>(work: Promise<T>): Promise<[T, number]> {
  const startedMs = performance.now()
  return [await work, performance.now() - startedMs]
}

/** Both forms of an answer arrive whole. Gives the request ids. */
async function answersBoth(on: Stack, key: Seeded): Promise<string[]> {
  const whole = await ask(on, key)
  expect([whole.status, await whole.text()]).toEqual([200, expect.stringContaining('chat.completion')])
  const streamed = await ask(on, key, { stream: true })
  const seen = await readClient(streamed)
  expect([seen.done, seen.text]).toEqual([true, vendor.truth().at(-1)?.text])
  return [whole, streamed].map((response) => response.headers.get('x-request-id') ?? '')
}

/** Every call has its one row in the permanent record. */
const settled = (on: Stack, requestIds: readonly string[], timeout = 15_000) =>
  vi.waitFor(
    async () => {
      const rows = await on.query(
        'select request_id, status, cost_nanos from usage_ledger where request_id = any($1)',
        [requestIds],
      )
      expect(rows.map((row) => row.request_id).sort()).toEqual([...requestIds].sort())
      for (const row of rows) expect([row.status, Number(row.cost_nanos) > 0]).toEqual(['ok', true])
    },
    { timeout, interval: 100 },
  )

describe.each(['refuse', 'hang'] as const)('while Redis is away (%s)', (mode) => {
  it('a warm key works, with and without a hard budget, and pays half a second at most', async () => {
    const keys = [await warmKey(stack), await warmKey(stack, { budgetUsd: 1 })]
    stack.redis.mode(mode)
    const ids: string[] = []
    for (const key of keys) {
      const [done, tookMs] = await elapsed(answersBoth(stack, key))
      ids.push(...done)
      expect(tookMs).toBeLessThan(2 * 500 + 3000)
    }
    await settled(stack, ids)
  })

  it('a cold key is read from Postgres, and a wrong one is still wrong', async () => {
    const key = await stack.org({ budgetUsd: 1 })
    stack.redis.mode(mode)
    await settled(stack, await answersBoth(stack, key))
    expect(await errorIn(await ask(stack, { ...key, apiKey: createKey('live') }))).toMatchObject({ status: 401 })
    const revoked = await stack.org()
    await stack.query('update api_keys set revoked_at = 1 where id = $1', [revoked.keyId])
    expect(await errorIn(await ask(stack, revoked))).toMatchObject({ status: 401 })
  })

  it('request limits hold at a tenth, and a hard budget as ever', async () => {
    const limited = await warmKey(stack, { requestsPerMinute: 60, burst: 10 })
    const poor = await warmKey(stack, { budgetUsd: 0.000_001 })
    stack.redis.mode(mode)
    expect((await ask(stack, limited)).status).toBe(200)
    const second = await ask(stack, limited)
    expect(await errorIn(second)).toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await errorIn(await ask(stack, poor))).toMatchObject({ status: 429, code: 'insufficient_quota' })
  })

  it('metrics cannot be read, and nobody is called a stranger for it', async () => {
    const key = await warmKey(stack)
    stack.redis.mode(mode)
    const response = await stack.call(key.apiKey, '/metrics')
    expect(await errorIn(response)).toMatchObject({ status: 503, code: 'dependency_unavailable' })
  })
})

describe('while Redis is slow', () => {
  it('a warm call is late by about as much', async () => {
    const key = await warmKey(stack)
    await answersBoth(stack, key)
    const [, plainMs] = await elapsed(ask(stack, key).then((response) => response.text()))
    stack.redis.mode(300)
    const [, slowMs] = await elapsed(ask(stack, key).then((response) => response.text()))
    expect(slowMs).toBeGreaterThan(290)
    expect(slowMs - plainMs).toBeLessThan(900)
  })
})

describe('after Redis has forgotten everything', () => {
  async function forgetEverything(): Promise<void> {
    const { redisUrl, redisToken } = storesHere()
    const headers = { authorization: `Bearer ${redisToken}` }
    const response = await fetch(redisUrl, { method: 'POST', headers, body: JSON.stringify(['FLUSHALL']) })
    expect(await response.json()).toEqual({ result: 'OK' })
  }

  it('a warm key is read again from Postgres', async () => {
    const key = await warmKey(stack)
    const before = stack.postgres.requests()
    await forgetEverything()
    await answersBoth(stack, key)
    expect(stack.postgres.requests()).toBeGreaterThan(before)
  })
})

describe('while Postgres is away', () => {
  it.each(['refuse', 'hang'] as const)('(%s) a warm key works, and its rows arrive afterwards', async (mode) => {
    const keys = [await warmKey(stack), await warmKey(stack, { budgetUsd: 1 })]
    // What a budget has spent is read from Postgres once, by its first call.
    await settled(stack, await answersBoth(stack, keys[1] as Seeded), 25_000)
    stack.postgres.mode(mode)
    const ids = [...(await answersBoth(stack, keys[0] as Seeded)), ...(await answersBoth(stack, keys[1] as Seeded))]
    stack.postgres.mode('pass')
    await settled(stack, ids, 25_000)
  })

  it('a key that nobody has asked for is 503, never 401, and works when Postgres is back', async () => {
    const key = await stack.org()
    const unknown = { ...key, apiKey: createKey('live') }
    stack.postgres.mode('refuse')
    for (const caller of [key, unknown]) {
      const response = await ask(stack, caller)
      expect(await errorIn(response)).toMatchObject({ status: 503, code: 'dependency_unavailable', retryable: true })
    }
    stack.postgres.mode('pass')
    expect((await ask(stack, key)).status).toBe(200)
    expect((await ask(stack, unknown)).status).toBe(401)
  })

  it('and Redis too, what the isolate knows still works and what it does not is 503', async () => {
    const warm = await warmKey(stack)
    const cold = await stack.org()
    stack.postgres.mode('refuse')
    stack.redis.mode('refuse')
    const ids = await answersBoth(stack, warm)
    expect(await errorIn(await ask(stack, cold))).toMatchObject({ status: 503, code: 'dependency_unavailable' })
    stack.postgres.mode('pass')
    stack.redis.mode('pass')
    await settled(stack, ids, 25_000)
  })

  it('a cold isolate reads a key from Redis alone', async () => {
    const key = await warmKey(stack)
    await stack.restart()
    stack.postgres.mode('refuse')
    const ids = await answersBoth(stack, key)
    stack.postgres.mode('pass')
    await settled(stack, ids, 25_000)
  })

  it.runIf(full())('and hangs, a cold key waits ten seconds for its 503', async () => {
    const key = await stack.org()
    stack.postgres.mode('hang')
    const [response, tookMs] = await elapsed(ask(stack, key))
    expect(await errorIn(response)).toMatchObject({ status: 503, code: 'dependency_unavailable' })
    expect(tookMs).toBeLessThan(12_000)
  })
})

/** An object that is not there: it throws, or it never answers. */
const standIn = `import { DurableObject } from 'cloudflare:workers'
export class OrgLedger extends DurableObject {
  away() { return this.env.LEDGER_MODE === 'hang' ? new Promise(() => {}) : Promise.reject(new Error('object reset')) }
  hold() { return this.away() }
  extend() { return this.away() }
  release() { return this.away() }
  settle() { return this.away() }
}
export class ProviderHealth extends DurableObject {}
export class NodeGate extends DurableObject {}
export default { fetch: () => new Response(null, { status: 404 }) }
`

describe.each(['refuse', 'hang'] as const)('while the ledger object is away (%s)', (mode) => {
  let broken: Stack

  beforeAll(async () => {
    broken = await startStack({ vars: { ...vars(), LEDGER_MODE: mode }, jobsScript: standIn })
  })
  afterAll(() => broken?.close())

  it('a caller with a hard budget is refused with 503, within three seconds', async () => {
    const key = await broken.org({ budgetUsd: 1 })
    const before = vendor.requests()
    const [response, tookMs] = await elapsed(ask(broken, key, { stream: true }))
    expect(await errorIn(response)).toMatchObject({ status: 503, code: 'budget_unavailable', retryable: true })
    expect(response.headers.get('retry-after')).toBe('1')
    expect(tookMs).toBeLessThan(4500)
    expect(vendor.requests()).toBe(before)
  })

  it('a caller without one is answered at once', async () => {
    const key = await warmKey(broken)
    const [ids, tookMs] = await elapsed(answersBoth(broken, key))
    expect(tookMs).toBeLessThan(3000)
    if (mode === 'refuse' || full()) await settled(broken, ids, 25_000)
  })
})
