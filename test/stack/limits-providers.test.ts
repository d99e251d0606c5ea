import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let vendor: FakeVendor

beforeAll(async () => {
  vendor = await startFakeVendor()
  const vars = {
    OPENAI_API_KEY: 'sk-fake-1',
    OPENAI_BASE_URL: vendor.url,
    OPENROUTER_API_KEY: 'sk-fake-2',
    OPENROUTER_BASE_URL: vendor.url,
  }
  stack = await startStack({ vars })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

type Answer = { status: number; headers: Headers; body: Record<string, unknown> }

async function call(credential: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await stack.call(credential, path, body, { method })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
}

const rows = ({ body }: Answer) => body.data as Record<string, unknown>[]
const chat = (credential: string, more: object = {}) =>
  call(credential, 'POST', '/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: 'Hello' }],
    max_tokens: 20,
    ...more,
  })
const providerOf = ({ status, headers }: Answer) => (status === 200 ? headers.get('x-helix-provider') : status)

async function team() {
  const { orgId } = await stack.org()
  const { accessToken, userId } = await person(stack, { orgId })
  const { apiKey, keyId } = await keyOf(stack, { orgId, userId })
  const limit = async (rule: object) => {
    const { status, body } = await call(accessToken, 'POST', '/api/v1/limits', rule)
    expect(status).toBe(201)
    return String(body.id)
  }
  return { orgId, userId, owner: accessToken, apiKey, keyId, limit }
}

describe('a limit of a provider', () => {
  const daily = { subject_kind: 'provider', metric: 'requests', window: 'day' }

  it('sends calls elsewhere when it is used up, and refuses them when nothing else is left', async () => {
    const { owner, apiKey, limit } = await team()
    const first = await limit({ ...daily, subject_id: 'openai', amount: 2 })
    const answers: unknown[] = []
    for (let at = 0; at < 3; at++) answers.push(providerOf(await chat(apiKey)))
    expect(answers).toEqual(['openai', 'openai', 'openrouter'])
    await limit({ ...daily, subject_id: 'openrouter/openai/gpt-4o', amount: 1 })
    expect(providerOf(await chat(apiKey))).toBe('openrouter')
    const refused = await chat(apiKey)
    expect(refused.status).toBe(429)
    expect(refused.body.error).toMatchObject({ code: 'rate_limit_exceeded', limit_id: first })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // Another model of the vendor that only one of its models is limited for.
    expect(providerOf(await chat(apiKey, { model: 'gpt-4o-mini' }))).toBe('openrouter')
    const current = await call(owner, 'GET', '/api/v1/limits/current?subject_kind=provider&subject_id=openai')
    expect(rows(current)).toMatchObject([{ id: first, subject_kind: 'provider', provider: 'openai', remaining: 0 }])
  })

  it('that only monitors takes no provider away, and tells how often it would have', async () => {
    const { owner, apiKey, limit } = await team()
    const id = await limit({ ...daily, subject_id: 'openai', amount: 1, mode: 'monitor' })
    for (let at = 0; at < 3; at++) expect(providerOf(await chat(apiKey))).toBe('openai')
    expect((await call(owner, 'GET', `/api/v1/limits/${id}`)).body.would_have_refused).toBe(2)
  })

  it('is of a provider that is configured, and goes by the name of its model’s family', async () => {
    const { owner } = await team()
    for (const subject_id of ['nobody', 'nobody/gpt-4o', 'openai/', '/gpt-4o', undefined]) {
      const refused = await call(owner, 'POST', '/api/v1/limits', { ...daily, subject_id, amount: 1 })
      expect([refused.status, JSON.stringify(refused.body).includes('subject_id')]).toEqual([422, true])
    }
    const dated = { ...daily, subject_id: 'openai/gpt-4o-2024-08-06', amount: 1 }
    expect((await call(owner, 'POST', '/api/v1/limits', dated)).body.subject_id).toBe('openai/gpt-4o')
  })

  it('has a preset by what vendors allow', async () => {
    const { owner } = await team()
    const apply = (subject_id: string, preset = 'standard') =>
      call(owner, 'POST', '/api/v1/limits/presets/apply', { preset, subject_kind: 'provider', subject_id })
    const seen = (answer: Answer) => rows(answer).map(({ metric, window, amount }) => [metric, window, amount])
    expect(seen(await apply('openai/gpt-4-turbo'))).toEqual([
      ['requests', 60, 30],
      ['tokens', 60, 150_000],
    ])
    expect(seen(await apply('openai'))).toEqual([['concurrency', null, 100]])
    expect((await apply('openai/gpt-4o')).status).toBe(422)
    expect((await apply('openai', 'premium')).status).toBe(422)
    expect(rows(await call(owner, 'GET', '/api/v1/limits?subject_kind=provider'))).toHaveLength(3)
  })

  it('of calls at once sends the next one elsewhere, and keeps it waiting when every place is taken', async () => {
    const { owner, apiKey, limit } = await team()
    await limit({ subject_kind: 'provider', subject_id: 'openai', metric: 'concurrency', amount: 1 })
    const id = await limit({ subject_kind: 'provider', subject_id: 'openrouter', metric: 'concurrency', amount: 1 })
    const streams = [await begin(apiKey), await begin(apiKey)]
    expect(streams.map(({ provider }) => provider)).toEqual(['openai', 'openrouter'])
    const refused = await chat(apiKey, { helix: { timeout_ms: 1000 } })
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.body.error).toMatchObject({ code: 'model_overloaded' })
    const waiting = chat(apiKey, { helix: { priority: 'high' } })
    await call(owner, 'DELETE', `/api/v1/limits/${id}`)
    expect(providerOf(await chat(apiKey))).toBe('openrouter')
    await streams[0]?.leave()
    expect(providerOf(await waiting)).toBe('openai')
    await expect.poll(async () => providerOf(await chat(apiKey)), { timeout: 15_000 }).toBe('openai')
    await streams[1]?.leave()
  })
})

/** A stream that has begun and goes on for seconds. */
async function begin(apiKey: string) {
  const leaving = new AbortController()
  const response = await stack.call(
    apiKey,
    '/v1/chat/completions',
    { model: 'gpt-4o', messages: [{ role: 'user', content: 'fault:slow=50,pieces=600' }], stream: true },
    { signal: leaving.signal },
  )
  const reader = response.body?.getReader()
  await reader?.read()
  return {
    provider: response.headers.get('x-helix-provider'),
    leave: async () => {
      leaving.abort()
      await reader?.cancel().catch(() => undefined)
    },
  }
}

describe('a limit of calls at once that only monitors', () => {
  it('refuses nobody, and tells how often it would have', async () => {
    const { owner, apiKey, limit } = await team()
    const id = await limit({ subject_kind: 'org', metric: 'concurrency', amount: 1, mode: 'monitor' })
    const stream = await begin(apiKey)
    expect((await chat(apiKey)).status).toBe(200)
    expect((await chat(apiKey)).status).toBe(200)
    const counted = async () => (await call(owner, 'GET', `/api/v1/limits/${id}`)).body.would_have_refused
    await expect.poll(counted, { timeout: 15_000 }).toBe(2)
    await stream.leave()
  })
})

describe('where limits stand', () => {
  it('is told to any credential of itself, and of others only to those who may see governance', async () => {
    const { orgId, apiKey, limit } = await team()
    await limit({ subject_kind: 'org', metric: 'requests', window: 'day', amount: 100 })
    const { apiKey: narrow, keyId } = await keyOf(stack, { orgId, scopes: ['models:read'] })
    await limit({ subject_kind: 'key', subject_id: keyId, metric: 'requests', window: 'day', amount: 7 })
    await chat(apiKey)
    const own = rows(await call(narrow, 'GET', '/api/v1/limits/current'))
    expect(own.map(({ subject_kind, amount, remaining }) => [subject_kind, amount, remaining])).toEqual([
      ['org', 100, 97],
      ['key', 7, 6],
    ])
    expect((await call(narrow, 'GET', '/api/v1/limits/current?subject_kind=org')).status).toBe(403)
    expect((await call('sk-nothing', 'GET', '/api/v1/limits/current')).status).toBe(401)
  })
})

describe('the limits of a key', () => {
  it('are those of the key that replaces it, counted together, until the old one ends', async () => {
    const { owner, apiKey, keyId, limit } = await team()
    await limit({ subject_kind: 'key', subject_id: keyId, metric: 'requests', window: 'day', amount: 5 })
    expect((await chat(apiKey)).headers.get('x-ratelimit-remaining-requests')).toBe('4')
    const { body } = await call(owner, 'POST', `/api/v1/keys/${keyId}/rotate`, {})
    const successor = String(body.secret)
    expect((await chat(successor)).headers.get('x-ratelimit-remaining-requests')).toBe('3')
    expect((await chat(apiKey)).headers.get('x-ratelimit-remaining-requests')).toBe('2')
    // A change binds both from their next calls on, whichever of them it names.
    const listed = rows(await call(owner, 'GET', `/api/v1/limits?subject_id=${keyId}`))
    expect(listed).toMatchObject([{ subject_id: body.id, amount: 5 }])
    await call(owner, 'PATCH', `/api/v1/limits/${listed[0]?.id}`, { amount: 3 })
    expect((await chat(apiKey)).status).toBe(429)
    expect((await chat(successor)).status).toBe(429)
    const rule = { subject_kind: 'key', subject_id: keyId, metric: 'tokens', window: 60, amount: 9 }
    expect((await call(owner, 'POST', '/api/v1/limits', rule)).body.subject_id).toBe(body.id)
  })
})

describe('an address without a credential', () => {
  const ask = (ip: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`${stack.url}${path}`, { headers: { 'cf-connecting-ip': ip, ...headers } })

  const waitOf = (response: Response) => Number(response.headers.get('retry-after'))

  it('is told a few times what it lacks, and then to wait; what it may see stays open, and so do keys', async () => {
    const ip = '198.51.100.21'
    const { apiKey } = await stack.org()
    const paths = Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? '/v1/models' : '/api/v1/keys'))
    const answers = await Promise.all(
      paths.map((path, at) => ask(ip, path, at % 3 === 0 ? { authorization: 'Bearer sk-mine' } : {})),
    )
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 401).length).toBe(answers.length - refused.length)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.every((answer) => waitOf(answer) === 1)).toBe(true)
    for (const path of ['/health', '/ready', '/docs', '/openapi.json']) expect((await ask(ip, path)).status).toBe(200)
    expect((await ask(ip, '/v1/models', { authorization: `Bearer ${apiKey}` })).status).toBe(200)
  })

  it('that goes on is shut out for five minutes, at no cost to Redis', async () => {
    const ip = '2001:db8:99:1::1'
    const flood = async () => {
      const answers = await Promise.all(Array.from({ length: 60 }, () => ask(ip, '/v1/models')))
      return Math.max(...answers.map(waitOf))
    }
    await expect.poll(flood, { timeout: 30_000, interval: 1 }).toBeGreaterThan(200)
    const before = stack.redis.requests()
    for (let at = 0; at < 50; at++) expect((await ask('2001:db8:99:1::2', '/v1/models')).status).toBe(429)
    expect(stack.redis.requests() - before).toBeLessThanOrEqual(10)
    expect((await ask('2001:db8:99:2::1', '/v1/models')).status).toBe(401)
    for (let at = 0; at < 50; at++) expect((await ask(ip, '/health')).status).toBe(200)
  })

  it('is one’s own machine while one develops: that is not limited', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 40 }, async () => (await fetch(`${stack.url}/v1/models`)).status),
    )
    expect(new Set(statuses)).toEqual(new Set([401]))
  })
})
