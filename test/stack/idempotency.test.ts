import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let vendor: FakeVendor

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

const keys = '/api/v1/keys'
const completions = '/v1/chat/completions'
const scopes = ['keys:write', 'chat:write', 'models:read']
const wanted = { name: 'A key', scopes: ['models:read'] }
const hello = (text: string, more: object = {}) => ({
  model: 'gpt-4o',
  messages: [{ role: 'user', content: text }],
  ...more,
})
const NewKey = z.looseObject({ id: z.string(), secret: z.string() })

const once = (apiKey: string, path: string, body: unknown, key: string) =>
  stack.call(apiKey, path, body, { headers: { 'idempotency-key': key } })

async function codeOf(response: Response): Promise<string> {
  const Code = z.looseObject({ code: z.string() })
  const body = z.union([Code, z.looseObject({ error: Code })]).parse(await response.json())
  return `${response.status} ${'error' in body ? Code.parse(body.error).code : body.code}`
}

const keysOf = async (orgId: string) =>
  (await stack.query('select 1 from api_keys where org_id = $1', [orgId])).length - 1

describe('a call with an Idempotency-Key', () => {
  it('runs once, however many come at once, and all are told the same', async () => {
    const rounds = count(2, 50)
    for (let round = 0; round < rounds; round++) {
      const { apiKey, orgId } = await stack.org({ scopes })
      const calls = Array.from({ length: 20 }, () => once(apiKey, keys, wanted, 'the same'))
      const responses = await Promise.all(calls)
      const made = responses.filter(({ status }) => status === 201)
      const late = responses.filter(({ status }) => status !== 201)
      expect(made.length).toBeGreaterThan(0)
      expect(await Promise.all(late.map(codeOf))).toEqual(late.map(() => '409 idempotency_in_progress'))
      const again = await once(apiKey, keys, wanted, 'the same')
      expect(again.headers.get('idempotent-replayed')).toBe('true')
      const answers = await Promise.all([...made, again].map((response) => response.text()))
      expect(new Set(answers).size).toBe(1)
      expect(await keysOf(orgId)).toBe(1)
    }
  })

  it('is repeated as it was, under a request id of its own', async () => {
    const { apiKey } = await stack.org({ scopes, requestsPerMinute: 100 })
    const first = await once(apiKey, keys, wanted, 'k'.repeat(255))
    expect(first.headers.get('idempotent-replayed')).toBeNull()
    const again = await once(apiKey, keys, { scopes: wanted.scopes, name: 'A key', mode: 'live' }, 'k'.repeat(255))
    expect(again.status).toBe(201)
    expect(await again.json()).toEqual(await first.json())
    const kept = ['content-type', 'cache-control', 'x-content-type-options', 'x-ratelimit-limit-requests']
    expect(kept.map((name) => again.headers.get(name))).toEqual(kept.map((name) => first.headers.get(name)))
    expect(again.headers.get('x-request-id')).toMatch(/^req_/)
    expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
  })

  it('belongs to its credential, path and body', async () => {
    const [one, other] = [await stack.org({ scopes }), await stack.org({ scopes })]
    const made = NewKey.parse(await (await once(one.apiKey, keys, { ...wanted, scopes }, 'k')).json())
    expect(await codeOf(await once(one.apiKey, keys, { ...wanted, name: 'B' }, 'k'))).toBe('422 idempotency_mismatch')
    for (const apiKey of [other.apiKey, made.secret]) {
      const response = await once(apiKey, keys, { ...wanted, scopes }, 'k')
      expect(response.status).toBe(201)
      expect(NewKey.parse(await response.json()).id).not.toBe(made.id)
    }
    const rotated = await once(one.apiKey, `${keys}/${made.id}/rotate`, {}, 'k')
    expect(rotated.status).toBe(201)
    expect([await keysOf(one.orgId), await keysOf(other.orgId)]).toEqual([3, 1])
  })

  it.each([
    ['an empty key', ''],
    ['a key that is too long', 'k'.repeat(256)],
  ])('is refused with %s, and holds no money', async (_what, key) => {
    const { apiKey, orgId } = await stack.org({ scopes, budgetUsd: 0.002 })
    const body = hello('Hello', { model: 'gpt-4o', max_tokens: 100 })
    for (let round = 0; round < 3; round++) {
      expect(await codeOf(await once(apiKey, completions, body, key))).toBe('400 invalid_request')
    }
    expect((await stack.call(apiKey, completions, body)).status).toBe(200)
    expect(await stack.query('select 1 from idempotency_keys where org_id = $1', [orgId])).toEqual([])
  })

  it('may be made again when it failed', async () => {
    const { apiKey, orgId } = await stack.org({ scopes })
    const tooMuch = { ...wanted, scopes: ['budgets:write'] }
    expect((await once(apiKey, keys, tooMuch, 'k')).status).toBe(403)
    expect((await once(apiKey, keys, { ...wanted, name: 7 }, 'k')).status).toBe(422)
    stack.redis.mode('refuse')
    try {
      expect((await once(apiKey, keys, wanted, 'k')).status).toBe(503)
    } finally {
      stack.redis.mode('pass')
    }
    expect((await once(apiKey, keys, wanted, 'k')).status).toBe(201)
    expect(await keysOf(orgId)).toBe(1)
  })

  it('does not run when nobody can say whether it ran', async () => {
    const { apiKey } = await stack.org({ scopes })
    expect((await stack.call(apiKey, completions, hello('Warm up'))).status).toBe(200)
    const before = vendor.requests()
    stack.postgres.mode('refuse')
    try {
      expect(await codeOf(await once(apiKey, completions, hello('Hello'), 'k'))).toBe('503 dependency_unavailable')
      expect((await stack.call(apiKey, completions, hello('Hello'))).status).toBe(200)
    } finally {
      stack.postgres.mode('pass')
    }
    expect(vendor.requests()).toBe(before + 1)
  })

  it('is kept sealed', async () => {
    const { apiKey, orgId } = await stack.org({ scopes })
    const { secret, id } = NewKey.parse(await (await once(apiKey, keys, wanted, 'the key of keys')).json())
    const rows = await stack.query('select * from idempotency_keys where org_id = $1', [orgId])
    expect(rows).toMatchObject([{ state: 'done', status: 201, headers: { 'content-type': 'application/json' } }])
    const stored = JSON.stringify(rows)
    for (const readable of [secret, secret.slice(20, -6), id, 'the key of keys', wanted.name]) {
      expect(stored).not.toContain(readable)
      expect(stored).not.toContain(Buffer.from(readable).toString('base64').slice(0, -3))
    }
  })

  it('runs anew after a day, and after a quarter of an hour when its first run was never heard of again', async () => {
    const { apiKey, orgId } = await stack.org({ scopes })
    const set = (assignments: string) =>
      stack.query(`update idempotency_keys set ${assignments} where org_id = $1`, [orgId])
    await once(apiKey, keys, wanted, 'k')
    const [row] = await stack.query('select * from idempotency_keys where org_id = $1', [orgId])
    expect(Number(row?.expires_at) - Number(row?.created_at)).toBe(86_400)
    await set('expires_at = extract(epoch from now())::bigint - 1')
    expect((await once(apiKey, keys, wanted, 'k')).headers.get('idempotent-replayed')).toBeNull()
    expect(await keysOf(orgId)).toBe(2)
    await set("state = 'running', body = null")
    expect(await codeOf(await once(apiKey, keys, wanted, 'k'))).toBe('409 idempotency_in_progress')
    await set('expires_at = extract(epoch from now())::bigint - 1')
    expect((await once(apiKey, keys, wanted, 'k')).status).toBe(201)
    expect(await keysOf(orgId)).toBe(3)
  })
})

describe('a call that spends money, with an Idempotency-Key', () => {
  const rowsOf = (orgId: string) =>
    stack.query('select request_id, cost_nanos from usage_ledger where org_id = $1', [orgId])

  it('spends it once, and a repetition leaves no hold behind', async () => {
    // Room for one call at a time: what a repetition held and did not give back would be missed by the next call.
    const { apiKey, orgId } = await stack.org({ scopes, budgetUsd: 0.002 })
    const body = hello('Hello', { max_tokens: 100 })
    const before = vendor.totals().calls
    const first = await once(apiKey, completions, body, 'k')
    expect(first.status).toBe(200)
    const answer = await first.text()
    await expect.poll(() => rowsOf(orgId), { timeout: 10_000 }).toHaveLength(1)
    for (let round = 0; round < 3; round++) {
      const again = await once(apiKey, completions, body, 'k')
      expect(again.status).toBe(200)
      expect(await again.text()).toBe(answer)
      const other = await once(apiKey, completions, hello('Something else', { max_tokens: 100 }), 'k')
      expect(await codeOf(other)).toBe('422 idempotency_mismatch')
    }
    expect(vendor.totals().calls).toBe(before + 1)
    expect((await stack.call(apiKey, completions, body)).status).toBe(200)
    await expect.poll(() => rowsOf(orgId), { timeout: 10_000 }).toHaveLength(2)
    expect(vendor.totals().calls).toBe(before + 2)
  })

  it('does not run beside itself', async () => {
    const { apiKey } = await stack.org({ scopes })
    const before = vendor.requests()
    const body = hello('fault:delay=2000')
    const running = once(apiKey, completions, body, 'k')
    await expect.poll(() => vendor.requests(), { timeout: 5000 }).toBe(before + 1)
    const beside = await once(apiKey, completions, body, 'k')
    expect(beside.headers.get('retry-after')).toBe('1')
    expect(await codeOf(beside)).toBe('409 idempotency_in_progress')
    expect((await running).status).toBe(200)
    expect(vendor.requests()).toBe(before + 1)
  })

  it('is not paid twice when its answer was a stream', async () => {
    const { apiKey, orgId } = await stack.org({ scopes })
    const body = hello('Hello', { stream: true })
    const before = vendor.requests()
    const stream = await once(apiKey, completions, body, 'k')
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    expect(await stream.text()).toMatch(/\[DONE\]\s*$/)
    const state = () => stack.query('select state, body from idempotency_keys where org_id = $1', [orgId])
    await expect.poll(state, { timeout: 5000 }).toEqual([{ state: 'done', body: null }])
    expect(await codeOf(await once(apiKey, completions, body, 'k'))).toBe('409 conflict')
    expect(vendor.requests()).toBe(before + 1)
  })
})
