import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
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

const Logged = z.looseObject({ id: z.string(), method: z.string(), path: z.string(), status_code: z.int() })
const Listed = z.object({ data: z.array(Logged), has_more: z.boolean(), last_id: z.string().nullable() })

const chat = '/v1/chat/completions'
const secretText = 'a-text-that-no-log-may-hold'
const hello = (text: string, more: object = {}) => ({
  model: 'gpt-4o',
  messages: [{ role: 'user', content: text }],
  ...more,
})

const org = (options: object = {}) => stack.org({ budgetUsd: 10, requestsPerMinute: 1000, burst: 1000, ...options })
/** Another key of the organisation, whose own requests are told apart by their path. */
const reader = async (orgId: string) => (await keyOf(stack, { orgId, scopes: ['logs:read'] })).apiKey
const list = async (token: string, query = '') =>
  Listed.parse(await (await stack.call(token, `/api/v1/requests${query}`)).json())

const idOf = (response: Response): string => response.headers.get('x-request-id') ?? ''

/** The row of a request, once it is there. */
async function rowOf(id: string): Promise<Record<string, unknown>> {
  const find = () => stack.query('select * from request_log where request_id = $1', [id])
  await expect.poll(find, { timeout: 15_000 }).toHaveLength(1)
  const [row = {}] = await find()
  return row
}

describe('a call of a model', () => {
  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
    ['with an error', { model: 'no-such-model' }],
    ['as a text', { messages: undefined, prompt: 'Grüße' }],
    ['as a streamed text', { messages: undefined, prompt: 'Grüße', stream: true }],
  ])('(%s) weighs in its row what its caller received', async (_form, more) => {
    const { apiKey } = await org()
    const path = 'prompt' in more ? '/v1/completions' : chat
    const response = await stack.call(apiKey, path, hello('Say something nice, with ümlauts.', more))
    const bytes = await response.bytes()
    expect(bytes.byteLength).toBeGreaterThan(50)
    const { bytes_out } = await rowOf(idOf(response))
    expect(Number(bytes_out)).toBe(bytes.byteLength)
  })

  it('that its caller left is a row with what was written until then', async () => {
    const { apiKey } = await org()
    const aborter = new AbortController()
    const response = await stack.call(apiKey, chat, hello('fault:pieces=20000,slow=1 Tell me.', { stream: true }), {
      signal: aborter.signal,
    })
    const reader = response.body?.getReader()
    const first = await reader?.read()
    aborter.abort()
    const { bytes_out } = await rowOf(idOf(response))
    expect(Number(bytes_out)).toBeGreaterThanOrEqual(first?.value?.byteLength ?? 0)
  })

  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])('(%s) leaves one row, which comes with its ledger row and tells of no text', async (_form, more) => {
    const { apiKey, orgId, keyId } = await org()
    const headers = { 'user-agent': 'a-client/1.0', 'x-client-request-id': 'client-request-1' }
    const response = await stack.call(apiKey, `${chat}?q=${secretText}`, hello(secretText, more), { headers })
    await response.text()
    const row = await rowOf(idOf(response))
    expect(row).toMatchObject({
      org_id: orgId,
      key_id: keyId,
      user_id: null,
      method: 'POST',
      path: chat,
      status_code: 200,
      error_code: null,
      user_agent: 'a-client/1.0',
      client_request_id: 'client-request-1',
    })
    expect(Number(row.bytes_in)).toBe(Buffer.byteLength(JSON.stringify(hello(secretText, more))))
    expect(JSON.stringify(row)).not.toContain(secretText)
    expect(JSON.stringify(row)).not.toContain(apiKey)
    const ledger = await stack.query('select * from usage_ledger where request_id = $1', [idOf(response)])
    expect(ledger).toHaveLength(1)

    const found = await stack.call(await reader(orgId), `/api/v1/requests/${idOf(response)}`)
    expect(await found.json()).toMatchObject({
      id: idOf(response),
      object: 'request',
      key_id: keyId,
      calls: [
        {
          id: ledger[0]?.id,
          provider: 'openai',
          model: 'gpt-4o',
          status: 'ok',
          stream: 'stream' in more,
          price_id: ledger[0]?.price_id,
          usage: { prompt_tokens: Number(ledger[0]?.prompt_tokens) },
          cost_usd: expect.stringMatching(/^0\.\d+$/),
        },
      ],
    })
  })

  it('that failed, was refused before it, or lost its budget leaves the status that its caller saw', async () => {
    const { apiKey, orgId } = await org({ budgetUsd: 0.000001 })
    const refused = await stack.call(apiKey, chat, hello('Hello'))
    expect(refused.status).toBe(429)
    const unknown = await stack.call(apiKey, chat, hello('Hello', { model: 'no-such-model' }))
    const broken = await stack.call(apiKey, chat, { messages: 7 })
    const rich = await org()
    const failed = await stack.call(rich.apiKey, chat, hello('fault:status=500'))
    const embedded = await stack.call(rich.apiKey, '/v1/embeddings', { model: 'text-embedding-3-small', input: 'Hi' })
    for (const response of [refused, unknown, broken, failed, embedded]) {
      await response.text()
      const row = await rowOf(idOf(response))
      expect(row.status_code).toBe(response.status)
      expect(row.error_code === null).toBe(response.ok)
    }
    expect([refused, unknown, broken].map(({ status }) => status)).toEqual([429, 404, 400])
    expect(failed.status).toBeGreaterThanOrEqual(500)
    const found = await stack.call(await reader(orgId), `/api/v1/requests/${idOf(refused)}`)
    expect(await found.json()).toMatchObject({ error_code: 'insufficient_quota', calls: [] })
  })
})

describe('other requests', () => {
  it('of a known caller leave a row with their route, and those of nobody leave none', async () => {
    const { accessToken, orgId, userId, sessionId } = await person(stack)
    const { apiKey, keyId } = await keyOf(stack, { orgId, scopes: ['models:read'] })
    const responses = [
      await stack.call(accessToken, '/api/v1/keys'),
      await stack.call(accessToken, `/api/v1/keys/${keyId}?x=1`),
      await stack.call(accessToken, '/api/v1/keys', { name: 7 }),
      await stack.call(apiKey, '/api/v1/keys'),
      await stack.call(apiKey, '/v1/models'),
    ]
    const rows = await Promise.all(responses.map((response) => rowOf(idOf(response))))
    const user = { key_id: sessionId, user_id: userId }
    const key = { key_id: keyId, user_id: null }
    expect(rows).toMatchObject([
      { ...user, method: 'GET', path: '/api/v1/keys', status_code: 200, error_code: null },
      { ...user, method: 'GET', path: '/api/v1/keys/:id', status_code: 200 },
      { ...user, method: 'POST', path: '/api/v1/keys', status_code: 422, error_code: 'invalid_request' },
      { ...key, method: 'GET', path: '/api/v1/keys', status_code: 403, error_code: 'permission_denied' },
      { ...key, method: 'GET', path: '/v1/models', status_code: 200 },
    ])
    for (const { ip } of rows)
      expect(ip === null || String(ip).endsWith('/24') || String(ip).endsWith('/48')).toBe(true)

    const nobody = [
      await stack.call(`${apiKey.slice(0, -1)}_`, '/v1/models'),
      await stack.call(accessToken, '/api/v1/nothing'),
      await fetch(`${stack.url}/health`),
    ]
    const last = await stack.call(apiKey, '/v1/models')
    await rowOf(idOf(last))
    const ids = nobody.map(idOf)
    expect(await stack.query('select 1 from request_log where request_id = any($1)', [ids])).toEqual([])
  })

  it('of a file leave a row when it has been read, with its bytes', async () => {
    const { accessToken } = await person(stack)
    await (await stack.call(accessToken, '/api/v1/keys', { name: 'Grüße', scopes: ['models:read'] })).text()
    for (const format of ['csv', 'json']) {
      const response = await stack.call(accessToken, `/api/v1/audit/export?format=${format}`)
      const { byteLength } = await response.bytes()
      expect(byteLength).toBeGreaterThan(100)
      const { bytes_out, status_code } = await rowOf(idOf(response))
      expect([status_code, Number(bytes_out)]).toEqual([200, byteLength])
    }
  })

  it('that are refused by the hundred are written down in few statements', async () => {
    const { apiKey, orgId } = await stack.org({ requestsPerMinute: 1, burst: 1 })
    // From here on the key is known, and nothing of it is read.
    await (await stack.call(apiKey, '/v1/models')).text()
    const before = stack.postgres.requests()
    const responses = await Promise.all(Array.from({ length: 200 }, () => stack.call(apiKey, '/v1/models')))
    await Promise.all(responses.map((response) => response.text()))
    const statuses = responses.map(({ status }) => status)
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(150)
    const rows = async () => {
      const [row] = await stack.query(
        'select count(*)::int as rows from request_log where org_id = $1 and status_code = 429',
        [orgId],
      )
      return Number(row?.rows)
    }
    await expect.poll(rows, { timeout: 15_000 }).toBeGreaterThan(0)
    expect(stack.postgres.requests() - before).toBeLessThan(50)
  })
})

describe('the list', () => {
  it('is filtered by key, person, status, route and time, and goes on after a row', async () => {
    const { orgId, keyId } = await stack.org()
    const token = await reader(orgId)
    const add = (id: string, at: number, given: Record<string, unknown>) => {
      const row = { key_id: keyId, user_id: null, path: '/v1/models', status_code: 200, ...given }
      return stack.query(
        `insert into request_log (request_id, org_id, key_id, user_id, method, path, status_code, response_time_ms, created_at)
         values ($1, $2, $3, $4, 'GET', $5, $6, 1, $7)`,
        [`${orgId}-${id}`, orgId, row.key_id, row.user_id, row.path, row.status_code, at],
      )
    }
    await add('a', 1000, { status_code: 429 })
    await add('b', 2000, { status_code: 404, user_id: 'usr_1' })
    await add('c', 3000, { path: '/v1/embeddings' })
    await add('d', 3000, { key_id: 'key_other', status_code: 500 })
    const letters = async (query: string) => {
      const { data } = await list(token, `?to=1000000&${query}`)
      return data.map(({ id }) => id.replace(`${orgId}-`, '')).join('')
    }
    expect(await letters('')).toBe('dcba')
    expect(await letters('order=asc')).toBe('abcd')
    expect(await letters('status=4xx')).toBe('ba')
    expect(await letters('status=429')).toBe('a')
    expect(await letters(`key_id=${keyId}&status=2xx`)).toBe('c')
    expect(await letters('user_id=usr_1')).toBe('b')
    expect(await letters('path=/v1/embeddings')).toBe('c')
    expect(await letters('from=2000&limit=2')).toBe('dc')
    expect(await letters(`after=${orgId}-c`)).toBe('ba')
    expect(await letters(`after=${orgId}-b&order=asc`)).toBe('cd')
    for (const query of ['status=4', 'status=9xx', 'model=x']) {
      expect((await stack.call(token, `/api/v1/requests?${query}`)).status).toBe(422)
    }
  })

  it('is not for everybody, and shows nothing of others', async () => {
    const { apiKey, orgId } = await org()
    const response = await stack.call(apiKey, chat, hello('Hello'))
    await response.text()
    await rowOf(idOf(response))
    const foreign = await stack.org()
    const stranger = await reader(foreign.orgId)
    expect((await stack.call(stranger, `/api/v1/requests/${idOf(response)}`)).status).toBe(404)
    expect((await list(stranger)).data.filter(({ path }) => path === chat)).toEqual([])
    const member = await person(stack, { orgId, role: 'member' })
    expect((await stack.call(member.accessToken, '/api/v1/requests')).status).toBe(403)
    expect((await list(await reader(orgId))).data.map(({ id }) => id)).toContain(idOf(response))
  })
})
