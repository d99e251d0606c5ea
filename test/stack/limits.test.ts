import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf, person } from '../support/people.ts'
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

type Answer = { status: number; headers: Headers; body: Record<string, unknown> }

async function call(credential: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await stack.call(credential, path, body, { method })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
}

const chat = (credential: string, more: object = {}) =>
  call(credential, 'POST', '/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: 'Hello' }],
    max_tokens: 20,
    ...more,
  })

/** An organisation with an owner and a key of theirs that has made a call: isolate and Redis know it. */
async function team() {
  const { orgId } = await stack.org()
  const owner = await person(stack, { orgId })
  const { apiKey, keyId } = await keyOf(stack, { orgId, userId: owner.userId })
  expect((await chat(apiKey)).status).toBe(200)
  return { orgId, owner: owner.accessToken, userId: owner.userId, apiKey, keyId }
}

const rows = ({ body }: Answer) => body.data as Record<string, unknown>[]

describe('a limit', () => {
  it('is made, shown, listed, changed, replaced and deleted, and every act is audited', async () => {
    const { owner, keyId, orgId } = await team()
    const key = { subject_kind: 'key', subject_id: keyId }
    const made = await call(owner, 'POST', '/api/v1/limits', { ...key, metric: 'requests', window: 60, amount: 100 })
    expect(made.status).toBe(201)
    const { id } = made.body
    const view = { id, object: 'limit', ...key, metric: 'requests', algorithm: 'token_bucket', window: 60 }
    expect(made.body).toMatchObject({ ...view, amount: 100, burst: 100, mode: 'enforce', preset: null })
    expect((await call(owner, 'GET', `/api/v1/limits/${id}`)).body).toMatchObject({ ...view, would_have_refused: null })
    expect(rows(await call(owner, 'GET', `/api/v1/limits?subject_kind=key&subject_id=${keyId}`))).toEqual([made.body])
    expect(rows(await call(owner, 'GET', '/api/v1/limits?subject_kind=user'))).toEqual([])
    const patched = await call(owner, 'PATCH', `/api/v1/limits/${id}`, { amount: 50, burst: 5 })
    expect(patched.body).toMatchObject({ ...view, amount: 50, burst: 5 })
    const rule = { metric: 'tokens', window: 'day', amount: 1000 }
    const replaced = await call(owner, 'PUT', `/api/v1/limits/${id}`, rule)
    expect(replaced.body).toMatchObject({ id, ...key, ...rule, algorithm: 'fixed_window', burst: null })
    expect((await call(owner, 'DELETE', `/api/v1/limits/${id}`)).status).toBe(204)
    expect((await call(owner, 'DELETE', `/api/v1/limits/${id}`)).status).toBe(404)
    expect((await call(owner, 'GET', `/api/v1/limits/${id}`)).status).toBe(404)
    const acts = await stack.query(`select action from audit_log where org_id = $1 and target_id = $2 order by id`, [
      orgId,
      id,
    ])
    expect(acts.map(({ action }) => action)).toEqual(['limit.create', 'limit.update', 'limit.update', 'limit.delete'])
  })

  it('holds from the next call on, for whomever it binds, until it is deleted', async () => {
    const { owner, userId, orgId, apiKey, keyId } = await team()
    const limits: unknown[] = []
    for (const [subject_kind, subject_id, amount] of [
      ['org', undefined, 30],
      ['user', userId, 20],
      ['key', keyId, 10],
    ] as const) {
      const { body } = await call(owner, 'POST', '/api/v1/limits', {
        subject_kind,
        subject_id,
        metric: 'requests',
        window: 86_400,
        amount,
      })
      limits.push(body.id)
      const answer = await chat(apiKey)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('x-ratelimit-limit-requests')).toBe(String(amount))
      expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe(String(amount - 1))
    }
    const { apiKey: other } = await keyOf(stack, { orgId, userId })
    expect((await chat(other)).headers.get('x-ratelimit-limit-requests')).toBe('20')
    await call(owner, 'PATCH', `/api/v1/limits/${limits[2]}`, { amount: 1 })
    const refused = await chat(apiKey)
    expect(refused.status).toBe(429)
    expect(refused.body.error).toMatchObject({ code: 'rate_limit_exceeded' })
    expect(JSON.stringify(refused.body)).toContain(String(limits[2]))
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(80_000)
    await call(owner, 'DELETE', `/api/v1/limits/${limits[2]}`)
    expect((await chat(apiKey)).headers.get('x-ratelimit-limit-requests')).toBe('20')
  })

  it('goes over to the key that replaces its own', async () => {
    const { owner, apiKey, keyId } = await team()
    const subject = { subject_kind: 'key', subject_id: keyId }
    await call(owner, 'POST', '/api/v1/limits', { ...subject, metric: 'requests', window: 'day', amount: 77 })
    await call(owner, 'POST', '/api/v1/limits', { ...subject, metric: 'concurrency', amount: 7 })
    const { body } = await call(apiKey, 'POST', `/api/v1/keys/${keyId}/rotate`, {})
    const copies = rows(await call(owner, 'GET', `/api/v1/limits?subject_kind=key&subject_id=${body.id}&order=asc`))
    expect(copies.map(({ metric, window, amount }) => [metric, window, amount])).toEqual([
      ['requests', 'day', 77],
      ['concurrency', null, 7],
    ])
    const answer = await chat(String(body.secret))
    expect(answer.headers.get('x-ratelimit-limit-requests')).toBe('77')
  })

  it('of tokens is corrected by what a call really used, also in a month', async () => {
    const { owner, apiKey } = await team()
    const subject = { subject_kind: 'org', metric: 'tokens' }
    await call(owner, 'POST', '/api/v1/limits', { ...subject, window: 'month', amount: 100_000 })
    const answer = await chat(apiKey, { max_tokens: 5000 })
    const usage = answer.body.usage as { total_tokens: number }
    const current = async () => rows(await call(apiKey, 'GET', '/api/v1/limits/current'))[0]
    expect(await current()).toMatchObject({ window: 'month', amount: 100_000 })
    await expect.poll(async () => (await current())?.remaining, { timeout: 10_000 }).toBe(100_000 - usage.total_tokens)
    expect((await current())?.resets_in_seconds).toBeLessThanOrEqual(31 * 86_400)
  })

  it('that only monitors refuses nobody, is in no header, and tells what it would have refused', async () => {
    const { owner, apiKey } = await team()
    const rule = { subject_kind: 'org', metric: 'tokens', window: 3600, amount: 1, mode: 'monitor' }
    const { body } = await call(owner, 'POST', '/api/v1/limits', rule)
    for (let at = 0; at < 3; at++) {
      const answer = await chat(apiKey)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('x-ratelimit-limit-tokens')).toBeNull()
    }
    expect((await call(owner, 'GET', `/api/v1/limits/${body.id}`)).body.would_have_refused).toBe(3)
    await call(owner, 'PATCH', `/api/v1/limits/${body.id}`, { mode: 'enforce' })
    expect((await chat(apiKey)).body.error).toMatchObject({ code: 'request_exceeds_limit' })
  })

  it.each([
    [{ metric: 'tokens', algorithm: 'token_bucket', window: 60 }, 'algorithm'],
    [{ metric: 'requests', window: 60, algorithm: 'concurrency' }, 'algorithm'],
    [{ metric: 'requests' }, 'window'],
    [{ metric: 'requests', algorithm: 'fixed_window', window: 60 }, 'window'],
    [{ metric: 'tokens', algorithm: 'sliding_window', window: 'day' }, 'window'],
    [{ metric: 'concurrency', window: 60 }, 'window'],
    [{ metric: 'tokens', window: 60, burst: 5 }, 'burst'],
    [{ metric: 'requests', window: 60, burst: 1_000_001 }, 'burst'],
    [{ metric: 'requests', window: 60, amount: 0 }, 'amount'],
    [{ metric: 'requests', window: 60, amount: 1.5 }, 'amount'],
    [{ metric: 'requests', window: 0 }, 'window'],
    [{ metric: 'requests', window: 60, colour: 'red' }, 'colour'],
    [{ metric: 'requests', window: 60, subject_id: 'org_01m7zdc1sz380pb4hf0t886geg' }, 'subject_id'],
    [{ metric: 'requests', window: 60, subject_kind: 'user' }, 'subject_id'],
    [
      { metric: 'requests', window: 60, subject_kind: 'key', subject_id: 'key_01m7zdc1sz380pb4hf0t886geg' },
      'subject_id',
    ],
  ])('cannot be %j', async (rule, field) => {
    const { orgId } = await stack.org()
    const { accessToken } = await person(stack, { orgId })
    const body = { subject_kind: 'org', amount: 5, ...rule }
    const refused = await call(accessToken, 'POST', '/api/v1/limits', body)
    expect(refused.status).toBe(422)
    expect(JSON.stringify(refused.body)).toContain(field)
    expect(rows(await call(accessToken, 'GET', '/api/v1/limits'))).toEqual([])
  })

  it('is one of at most twenty of its subject, also where many are made at once', async () => {
    const { owner } = await team()
    const rule = { subject_kind: 'org', metric: 'requests', window: 60, amount: 1_000_000 }
    const made = await Promise.all(Array.from({ length: 25 }, () => call(owner, 'POST', '/api/v1/limits', rule)))
    expect(made.filter(({ status }) => status === 201)).toHaveLength(20)
    expect(made.filter(({ status }) => status === 409)).toHaveLength(5)
  })
})

describe('presets', () => {
  it('give a subject their limits, and take the place of one another', async () => {
    const { owner, keyId } = await team()
    const key = { subject_kind: 'key', subject_id: keyId }
    await call(owner, 'POST', '/api/v1/limits', { ...key, metric: 'requests', window: 1, amount: 50 })
    const amounts = async () =>
      rows(await call(owner, 'GET', `/api/v1/limits?subject_id=${keyId}`))
        .map((row) => [row.metric, row.window, row.amount, row.preset])
        .sort((left, right) => Number(left[2]) - Number(right[2]))
    for (const preset of ['standard', 'premium'] as const) {
      const times = preset === 'premium' ? 10 : 1
      const applied = await call(owner, 'POST', '/api/v1/limits/presets/apply', { preset, ...key })
      expect(applied.status).toBe(200)
      expect(await amounts()).toEqual([
        ['requests', 1, 50, null],
        ['requests', 60, 1000 * times, preset],
        ['tokens', 60, 10_000 * times, preset],
      ])
    }
    expect(rows(await call(owner, 'GET', '/api/v1/limits/presets'))).toHaveLength(11)
  })
})

describe('where limits stand', () => {
  it('is told to those whom they bind, and of others to those who may see governance', async () => {
    const { owner, orgId, keyId, apiKey } = await team()
    const limit = { metric: 'requests', window: 86_400 }
    await call(owner, 'POST', '/api/v1/limits', { subject_kind: 'org', ...limit, amount: 100, burst: 10 })
    await call(owner, 'POST', '/api/v1/limits', { subject_kind: 'key', subject_id: keyId, ...limit, amount: 5 })
    await call(owner, 'POST', '/api/v1/limits', {
      subject_kind: 'key',
      subject_id: keyId,
      metric: 'concurrency',
      amount: 3,
    })
    await chat(apiKey)
    await chat(apiKey)
    const seen = (answer: Answer) => rows(answer).map((row) => [row.subject_kind, row.amount, row.remaining])
    const ofKey = await call(owner, 'GET', `/api/v1/limits/current?subject_kind=key&subject_id=${keyId}`)
    expect(seen(ofKey)).toEqual([
      ['org', 100, 5],
      ['key', 5, 3],
      ['key', 3, null],
    ])
    const member = await person(stack, { orgId, role: 'member' })
    const own = await call(member.accessToken, 'GET', '/api/v1/limits/current')
    expect(seen(own)).toEqual([['org', 100, 4]])
    const others = await call(member.accessToken, 'GET', '/api/v1/limits/current?subject_kind=org')
    expect(others.status).toBe(403)
  })
})

describe('a limit of concurrency', () => {
  /** A stream that has begun and goes on for seconds. */
  async function begin(apiKey: string) {
    const leaving = new AbortController()
    const response = await stack.call(
      apiKey,
      '/v1/chat/completions',
      { model: 'gpt-4o', messages: [{ role: 'user', content: 'fault:slow=50,pieces=400' }], stream: true },
      { signal: leaving.signal },
    )
    const reader = response.body?.getReader()
    if (response.status === 200) await reader?.read()
    else await response.body?.cancel()
    return {
      status: response.status,
      leave: async () => {
        leaving.abort()
        await reader?.cancel().catch(() => undefined)
      },
    }
  }

  it('lets so many calls run at once, with and without a budget, and one more when one of them is over', async () => {
    for (const budgetUsd of [undefined, 100]) {
      const { orgId } = await stack.org({ budgetUsd })
      const owner = await person(stack, { orgId })
      const { apiKey } = await keyOf(stack, { orgId, userId: owner.userId })
      const rule = { subject_kind: 'user', subject_id: owner.userId, metric: 'concurrency', amount: 2 }
      const { body } = await call(owner.accessToken, 'POST', '/api/v1/limits', rule)
      const [first, second] = [await begin(apiKey), await begin(apiKey)]
      expect([first.status, second.status]).toEqual([200, 200])
      const refused = await chat(apiKey)
      expect(refused.status).toBe(429)
      expect(JSON.stringify(refused.body)).toContain(String(body.id))
      expect(refused.headers.get('retry-after')).toBe('1')
      expect((await call(apiKey, 'GET', '/v1/models')).status).toBe(200)
      await first.leave()
      await expect.poll(async () => (await chat(apiKey)).status, { timeout: 15_000 }).toBe(200)
      await second.leave()
    }
  })
})
