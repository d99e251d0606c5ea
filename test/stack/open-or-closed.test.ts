import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { errorIn } from '../support/client-error.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { full } from '../support/lane.ts'
import { actionsOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { auth, newAddress, PASSWORD } from './auth-kit.ts'
import { callApi } from './members-kit.ts'

let vendor: FakeVendor
let node: DemoNode
let names: FaultProxy
let stack: Stack

beforeAll(async () => {
  vendor = await startFakeVendor()
  node = await startDemoNode({ chunkDelayMs: 0 })
  names = await startFaultProxy(vendor.url)
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: vendor.url,
      OLLAMA_BASE_URL: node.url,
      DOH_URL: `${names.url}/dns-query`,
    },
  })
})
afterEach(() => {
  for (const part of [stack.redis, stack.postgres, names]) part.mode('pass')
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), node?.close(), names?.close()])
})

/** 30 tokens in and 50 out by the vendor's own count. */
const CALL_NANOS = 575_000
const ask = (apiKey: string, fields: object = {}, headers: Record<string, string> = {}) =>
  stack.call(
    apiKey,
    '/v1/chat/completions',
    {
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'Hello fault:usage=30/50' }],
      max_tokens: 60,
      ...fields,
    },
    { headers },
  )

const rowsOf = (orgId: string) =>
  stack.query('select status, cost_nanos::float8 as cost, price_id from usage_ledger where org_id = $1', [orgId])

/** An owner whose session the gateway knows, and what they ask of the API. */
async function owner() {
  const someone = await person(stack)
  const api = (route: string, body?: unknown) => callApi(stack, someone.accessToken, { route, body })
  expect((await api('GET /limits')).status).toBe(200)
  return { ...someone, api }
}

const limitOn = (orgId: string) => ({ subject_kind: 'org', subject_id: orgId, metric: 'requests' })
const unavailable = { status: 503, body: { code: 'dependency_unavailable' } }

/** Nobody has to be known for these, so each is limited, and closed where the limit cannot be asked. */
async function closedDoors(): Promise<void> {
  const account = { username: 'nobody', email: 'nobody@example.com', password: PASSWORD, org_name: 'None' }
  const doors: [path: string, body: object][] = [
    ['/login-json', { username: 'nobody', password: PASSWORD }],
    ['/forgot-password', { email: account.email }],
    ['/reset-password', { token: `hxt_${'0'.repeat(43)}`, new_password: 'another salt marsh' }],
    ['/register', account],
  ]
  for (const [path, body] of doors) {
    const response = await auth(stack, path, { body, ip: newAddress() })
    expect([path, response.status]).toEqual([path, 503])
  }
}

describe('while Redis is away', () => {
  it('a call with an Idempotency-Key runs once, and a repetition gets its answer', async () => {
    const { apiKey } = await stack.org({ budgetUsd: 1 })
    expect((await ask(apiKey)).status).toBe(200)
    const before = vendor.requests()
    stack.redis.mode('refuse')
    const answers: string[] = []
    for (const replayed of [null, 'true']) {
      const response = await ask(apiKey, {}, { 'idempotency-key': 'k' })
      expect([response.status, response.headers.get('idempotent-replayed')]).toEqual([200, replayed])
      answers.push(await response.text())
    }
    expect(answers[0]).toBe(answers[1])
    expect(vendor.requests()).toBe(before + 1)
  })

  it('acts are done and written down as ever, and the log holds', async () => {
    const { api, orgId } = await owner()
    stack.redis.mode('refuse')
    expect((await api('POST /limits', { ...limitOn(orgId), window: 60, amount: 100 })).status).toBe(201)
    expect((await api('POST /secrets', { name: 'ONE', value: 'one' })).status).toBe(201)
    expect(await api('GET /audit/verify')).toMatchObject({ status: 200, body: { ok: true } })
    expect(await actionsOf(stack, orgId)).toEqual(expect.arrayContaining(['limit.create', 'secret.create']))
  })

  it('nobody comes in who is not known', async () => {
    stack.redis.mode('refuse')
    await closedDoors()
  })
})

describe('while Postgres is away', () => {
  it('a hard budget is spent up to its cap and no further, and all of it is booked afterwards', async () => {
    const cap = 10 * CALL_NANOS
    const { apiKey, orgId } = await stack.org({ budgetUsd: cap / 1e9 })
    // What was spent before is read from Postgres once, by the first call.
    expect((await ask(apiKey)).status).toBe(200)
    await expect.poll(() => rowsOf(orgId), { timeout: 15_000 }).toHaveLength(1)
    stack.postgres.mode('refuse')
    let paid = 1
    for (let tries = 0; tries < 20; tries++) {
      const response = await ask(apiKey)
      if (response.status === 200) paid += 1
      else expect(await errorIn(response)).toMatchObject({ status: 429, code: 'insufficient_quota' })
    }
    // A call is held at its worst case: the last that would just fit may be refused.
    expect(paid).toBeGreaterThanOrEqual(8)
    expect(paid).toBeLessThanOrEqual(10)
    stack.postgres.mode('pass')
    await expect.poll(() => rowsOf(orgId), { timeout: 25_000 }).toHaveLength(paid)
    expect((await rowsOf(orgId)).every(({ cost }) => cost === CALL_NANOS)).toBe(true)
  })

  it('limits of requests refuse as ever', async () => {
    const { apiKey } = await stack.org({ requestsPerMinute: 1, burst: 3 })
    expect((await ask(apiKey)).status).toBe(200)
    stack.postgres.mode('refuse')
    const statuses = [await ask(apiKey), await ask(apiKey), await ask(apiKey)].map(({ status }) => status)
    expect(statuses).toEqual([200, 200, 429])
  })

  it('nothing is done that could not be written down', async () => {
    const { api, orgId } = await owner()
    const made = await api('POST /limits', { ...limitOn(orgId), window: 60, amount: 100 })
    const before = await actionsOf(stack, orgId)
    const org = { subject_kind: 'org', subject_id: orgId }
    stack.postgres.mode('refuse')
    const writes: [route: string, body?: object][] = [
      ['POST /keys', { name: 'A key', scopes: ['models:read'] }],
      ['POST /limits', { ...limitOn(orgId), window: 60, amount: 7 }],
      [`PATCH /limits/${made.body.id}`, { amount: 7 }],
      [`DELETE /limits/${made.body.id}`],
      ['POST /budgets', { ...org, window: 'total', limit_usd: 1 }],
      ['POST /secrets', { name: 'ONE', value: 'one' }],
      ['POST /encryption/rotate'],
      ['POST /members/invite', { email: 'nobody@example.com' }],
    ]
    for (const [route, body] of writes) expect({ route, ...(await api(route, body)) }).toMatchObject(unavailable)
    stack.postgres.mode('pass')
    expect(await actionsOf(stack, orgId)).toEqual(before)
    // Nobody asks Postgres for a credential for a second after it failed.
    await expect
      .poll(() => api('GET /limits'), { timeout: 10_000 })
      .toMatchObject({ body: { data: [{ amount: 100 }] } })
    expect(await stack.query('select name from api_keys where org_id = $1', [orgId])).toHaveLength(1)
    for (const list of ['budgets', 'secrets']) {
      expect(await api(`GET /${list}`)).toMatchObject({ status: 200, body: { data: [] } })
    }
  })

  it('nobody comes in who is not known', async () => {
    stack.postgres.mode('refuse')
    await closedDoors()
  })
})

describe.each(['refuse', ...(full() ? (['hang'] as const) : [])] as const)(
  'while nobody answers for names (%s)',
  (mode) => {
    it('no address is called that an organisation has named', async () => {
      const { api } = await owner()
      const provider = { name: 'Theirs', issuer: 'https://issuer.example.com', audiences: ['helix'] }
      const made = await api('POST /oidc-providers', provider)
      expect(made).toMatchObject({ status: 201 })
      const asked = names.requests()
      names.mode(mode)
      expect(await api(`POST /oidc-providers/${made.body.id}/test`)).toMatchObject({
        status: 200,
        body: { ok: false, detail: 'The host name could not be looked up.' },
      })
      expect(names.requests()).toBeGreaterThan(asked)
    })
  },
)

describe('a price', () => {
  it('that nobody knows is no price under a hard budget, and elsewhere a cost of nothing that says so', async () => {
    const model = 'openai/model-of-tomorrow'
    const rich = await stack.org({ budgetUsd: 1000 })
    const before = vendor.requests()
    expect(await errorIn(await ask(rich.apiKey, { model }))).toMatchObject({ status: 400, param: 'model' })
    expect(vendor.requests()).toBe(before)
    const free = await stack.org()
    expect((await ask(free.apiKey, { model })).status).toBe(200)
    await expect.poll(() => rowsOf(free.orgId), { timeout: 15_000 }).toMatchObject([{ cost: 0, price_id: '' }])
  })

  it('of nothing needs nothing of a budget that has nothing left', async () => {
    const { apiKey, orgId } = await stack.org({ budgetUsd: 0 })
    expect(await errorIn(await ask(apiKey))).toMatchObject({ status: 429, code: 'insufficient_quota' })
    const listed = z.object({ data: z.array(z.object({ id: z.string(), owned_by: z.string() })) })
    const { data } = listed.parse(await (await stack.call(apiKey, '/v1/models')).json())
    const own = data.find(({ owned_by }) => !['openai', 'system'].includes(owned_by))
    expect((await ask(apiKey, { model: own?.id })).status).toBe(200)
    await expect.poll(() => rowsOf(orgId), { timeout: 15_000 }).toMatchObject([{ cost: 0, price_id: 'node@free' }])
  })
})

describe('rules that contradict each other', () => {
  it('are all obeyed: the strictest decides, and is named', async () => {
    const { api, orgId } = await owner()
    const key = z.object({ id: z.string(), secret: z.string() })
    const { id, secret } = key.parse((await api('POST /keys', { name: 'A key', scopes: ['chat:write'] })).body)
    const budget = { subject_kind: 'org', subject_id: orgId, window: 'total' }
    await api('POST /budgets', { ...budget, limit_usd: 1000 })
    await api('POST /budgets', { ...budget, limit_usd: 0, hard: false })
    const none = await api('POST /budgets', { ...budget, limit_usd: 0 })
    const poor = await ask(secret)
    expect(poor.status).toBe(429)
    expect(await poor.json()).toMatchObject({ error: { code: 'insufficient_quota', budget_id: none.body.id } })
    expect((await api(`DELETE /budgets/${none.body.id}`)).status).toBe(204)
    expect((await ask(secret)).status).toBe(200)

    await api('POST /limits', { ...limitOn(orgId), window: 60, amount: 1000 })
    const ofKey = { ...limitOn(orgId), subject_kind: 'key', subject_id: id, algorithm: 'fixed_window' }
    const few = await api('POST /limits', { ...ofKey, window: 'day', amount: 1 })
    await api('POST /limits', { ...ofKey, window: 'month', amount: 1000 })
    expect((await ask(secret)).status).toBe(200)
    const late = await ask(secret)
    expect(late.status).toBe(429)
    expect(await late.json()).toMatchObject({ error: { code: 'rate_limit_exceeded', limit_id: few.body.id } })
  })
})
