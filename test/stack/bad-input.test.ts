import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Seeded } from '../../scripts/seed.ts'
import { createKey } from '../../src/features/keys/format.ts'
import { errorIn } from '../support/client-error.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { postAlone, sendRaw } from '../support/raw-http.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { wrongBodies, wrongFields } from './wrong-bodies.ts'

let stack: Stack
let vendor: FakeVendor
let key: Seeded

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
  key = await stack.org()
})

/** Nothing in this file may cost anybody anything. */
afterAll(async () => {
  const reached = vendor?.requests()
  await stack?.close()
  await vendor?.close()
  expect(reached).toBe(0)
})

const chatPath = '/v1/chat/completions'
const hello = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello there' }] }
const send = (path: string, init: RequestInit = {}) => fetch(`${stack.url}${path}`, init)
const json = (apiKey: string, headers: Record<string, string> = {}) => ({
  authorization: `Bearer ${apiKey}`,
  'content-type': 'application/json',
  ...headers,
})
const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  send(chatPath, { method: 'POST', body, headers: json(key.apiKey, headers), duplex: 'half' } as RequestInit)

describe('a key', () => {
  const headersOf: Record<string, () => Record<string, string>> = {
    'is missing': () => ({}),
    'is empty': () => ({ authorization: 'Bearer ' }),
    'is not one at all': () => ({ authorization: 'Bearer sk-1234' }),
    'has a wrong checksum': () => ({ authorization: `Bearer ${createKey('live').slice(0, -1)}_` }),
    'has one letter changed': () => ({ authorization: `Bearer ${flipped(createKey('live'))}` }),
    'is well made but unknown': () => ({ authorization: `Bearer ${createKey('live')}` }),
    'comes by another scheme': () => ({ authorization: `Basic ${btoa(`user:${key.apiKey}`)}` }),
    'comes twice': () => ({ authorization: `Bearer ${key.apiKey}, Bearer ${key.apiKey}` }),
    'contradicts x-api-key': () => ({ authorization: `Bearer ${key.apiKey}`, 'x-api-key': createKey('live') }),
  }
  const flipped = (text: string) => text.slice(0, 30) + (text.charAt(30) === 'a' ? 'b' : 'a') + text.slice(31)

  it.each(Object.entries(headersOf))('that %s is 401 in both dialects', async (how, headers) => {
    const code = how === 'is missing' || how === 'is empty' ? 'missing_api_key' : 'invalid_api_key'
    const sent = { 'content-type': 'application/json', ...headers() }
    const openai = await send(chatPath, { method: 'POST', body: JSON.stringify(hello), headers: sent })
    expect(openai.headers.get('www-authenticate')).toBe('Bearer')
    expect(openai.headers.get('content-type')).toBe('application/json')
    expect(await openai.json()).toMatchObject({ error: { type: 'authentication_error', param: null, code } })
    const problem = await send('/metrics', { headers: headers() })
    expect(problem.headers.get('content-type')).toBe('application/problem+json')
    expect(await problem.json()).toMatchObject({ status: 401, code, instance: '/metrics' })
  })

  it('that is wrong on its face is refused without asking any store', async () => {
    const before = [stack.redis.requests(), stack.postgres.requests()]
    await stack.call(flipped(key.apiKey), chatPath, hello)
    expect([stack.redis.requests(), stack.postgres.requests()]).toEqual(before)
  })

  it('that is unknown is looked up once, then remembered as unknown', async () => {
    const unknown = createKey('live')
    expect((await stack.call(unknown, chatPath, hello)).status).toBe(401)
    const before = stack.postgres.requests()
    expect((await stack.call(unknown, chatPath, hello)).status).toBe(401)
    expect(stack.postgres.requests()).toBe(before)
  })

  it('that was revoked or has expired is 401', async () => {
    const revoked = await stack.org()
    await stack.query('update api_keys set revoked_at = 1 where id = $1', [revoked.keyId])
    const expired = await stack.org({ expiresAt: 1_700_000_000 })
    for (const { apiKey } of [revoked, expired]) {
      expect(await errorIn(await stack.call(apiKey, chatPath, hello))).toMatchObject({ code: 'invalid_api_key' })
    }
  })

  it('without the scope is 403, and with a part of it may do that part', async () => {
    const { apiKey } = await stack.org({ scopes: ['models:read'] })
    const refused = await stack.call(apiKey, chatPath, hello)
    expect(await errorIn(refused)).toMatchObject({ status: 403, code: 'permission_denied' })
    expect((await stack.call(apiKey, '/v1/models')).status).toBe(200)
    expect((await stack.call(apiKey, '/metrics')).status).toBe(403)
  })

  it('in x-api-key alone, or twice the same, is taken', async () => {
    for (const headers of [{ 'x-api-key': key.apiKey }, json(key.apiKey, { 'x-api-key': key.apiKey })]) {
      expect((await send('/v1/models', { headers })).status).toBe(200)
    }
  })
})

describe('a model', () => {
  it.each([
    ['nobody has', { model: 'no-such-model' }, 404, 'model_not_found', 'model'],
    ['of a provider without a key', { model: 'deepseek/deepseek-chat' }, 404, 'model_not_found', 'model'],
    ['of a provider that is unknown', { model: 'gpt-4o', provider: 'acme' }, 404, 'model_not_found', 'provider'],
    ['that only embeds', { model: 'text-embedding-3-small' }, 400, 'wrong_capability', 'model'],
    ['that only embeds, with its vendor', { model: 'openai/text-embedding-3-small' }, 400, 'wrong_capability', 'model'],
  ])('%s is refused', async (_what, fields, status, code, param) => {
    expect(await errorIn(await stack.call(key.apiKey, chatPath, { ...hello, ...fields }))).toMatchObject({
      status,
      code,
      param,
    })
  })

  it('that the key may not use is 403, by any of its names', async () => {
    const { apiKey } = await stack.org({ allowedModels: ['gpt-4o-mini'] })
    for (const model of ['gpt-4o', 'openai/gpt-4o', 'auto']) {
      const response = await stack.call(apiKey, chatPath, { ...hello, model })
      expect(await errorIn(response)).toMatchObject({ status: 403, code: 'permission_denied', param: 'model' })
    }
    expect((await stack.call(apiKey, '/v1/models/gpt-4o')).status).toBe(404)
  })

  it('of a vendor is out of reach of a test key', async () => {
    const { apiKey } = await stack.org({ mode: 'test' })
    const response = await stack.call(apiKey, chatPath, hello)
    expect(await errorIn(response)).toMatchObject({ status: 404, code: 'model_not_found' })
  })
})

describe('a field', () => {
  it.each(wrongFields)('%s that is %s is named', async (param, _what, fields) => {
    const response = await stack.call(key.apiKey, chatPath, { ...hello, ...fields })
    const error = await errorIn(response)
    expect(error).toMatchObject({ status: 400, code: 'invalid_request', param })
    expect(error.message).toContain(param)
    expect(error.message.length).toBeLessThan(300)
  })

  it.each([
    ['input', { input: undefined }],
    ['input', { input: '' }],
    ['input', { input: [] }],
    ['input', { input: Array(2049).fill('x') }],
    ['input', { input: 5 }],
    ['dimensions', { dimensions: 0 }],
    ['encoding_format', { encoding_format: 'hex' }],
    ['helix.lenient', { helix: { lenient: true } }],
  ])('%s of an embedding is named', async (param, fields) => {
    const body = { model: 'text-embedding-3-small', input: 'Hi', ...fields }
    const error = await errorIn(await stack.call(key.apiKey, '/v1/embeddings', body))
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(error.param).toMatch(new RegExp(`^${param}`))
  })

  it('of a query is 400, and an unknown value of it is not taken for another', async () => {
    const response = await stack.call(key.apiKey, '/v1/models?details=maybe')
    expect(await errorIn(response)).toMatchObject({ status: 400, param: 'details' })
  })
})

describe('a body', () => {
  it.each(['declared', 'chunked'])('of 11 MB, %s, is 413', async (how) => {
    const megabytes = Array.from({ length: 11 }, () => ' '.repeat(1024 * 1024))
    const length = how === 'declared' ? { 'content-length': String(11 * 1024 * 1024) } : undefined
    const error = await errorIn(await postAlone(`${stack.url}${chatPath}`, megabytes, json(key.apiKey, length)))
    expect(error).toMatchObject({ status: 413, code: 'payload_too_large' })
    expect(error.message).toContain('10 MB')
  })

  it.each(wrongBodies)('%s is refused', async (_what, body, headers, status, words) => {
    const error = await errorIn(await post(body(), headers))
    expect(error.status).toBe(status)
    expect(error.message).toMatch(words)
  })

  it('without a content type is 415', async () => {
    const head = `POST ${chatPath} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key.apiKey}\r\nconnection: close\r\n`
    const answer = await sendRaw(stack.url, `${head}content-length: 2\r\n\r\n{}`)
    expect(answer.status).toBe(415)
    expect(answer.text).toContain('unsupported_media_type')
  })

  it('cannot reach a prototype', async () => {
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const text = `{"model":"no-such-model","messages":[{"role":"user","content":"Hi","${name}":{"role":"robot"}}],"${name}":{"model":"gpt-4o","n":9}}`
      expect(await errorIn(await post(text))).toMatchObject({ status: 404, code: 'model_not_found' })
    }
    const nested =
      '{"model":"no-such-model","messages":[{"role":"user","content":"Hi"}],"helix":{"__proto__":{"strict":1}}}'
    expect([400, 404]).toContain((await post(nested)).status)
    expect(await errorIn(await post('{"__proto__":{"model":"gpt-4o","messages":[]}}'))).toMatchObject({
      param: 'model',
    })
  })

  it('that is bad still costs one request of its caller, and nothing else', async () => {
    const { apiKey, orgId } = await stack.org({ requestsPerMinute: 60, burst: 3, budgetUsd: 1 })
    const remaining: (string | null)[] = []
    for (let call = 0; call < 3; call++) {
      const response = await stack.call(apiKey, chatPath, { ...hello, n: 9 })
      expect(response.status).toBe(400)
      remaining.push(response.headers.get('x-ratelimit-remaining-requests'))
    }
    expect(remaining).toEqual(['2', '1', '0'])
    const fourth = await stack.call(apiKey, chatPath, { ...hello, n: 9 })
    expect(await errorIn(fourth)).toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
    expect(Number(fourth.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await stack.query('select 1 from usage_ledger where org_id = $1', [orgId])).toEqual([])
  })
})

describe('the order of checks', () => {
  it('is path, method, key, scope, limit, body', async () => {
    const unscoped = await stack.org({ scopes: ['models:read'], requestsPerMinute: 1, burst: 1 })
    const bad = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }
    expect((await send('/v1/chat/nothing', bad)).status).toBe(404)
    expect((await send(chatPath, { ...bad, method: 'PUT' })).status).toBe(405)
    expect((await send(chatPath, bad)).status).toBe(401)
    expect((await send(chatPath, { ...bad, headers: json(unscoped.apiKey) })).status).toBe(403)
    const limited = await stack.org({ requestsPerMinute: 1, burst: 1 })
    const statuses: number[] = []
    for (let call = 0; call < 2; call++) {
      statuses.push((await send(chatPath, { ...bad, headers: json(limited.apiKey) })).status)
    }
    expect(statuses).toEqual([400, 429])
  })
})

describe('a path', () => {
  it.each([
    ['/v1/nothing', 'application/json'],
    ['/v1', 'application/json'],
    ['/v1/chat', 'application/json'],
    ['/v1/chat/completions/', 'application/json'],
    ['/v1/../v1/nothing', 'application/json'],
    ['/nothing', 'application/problem+json'],
    ['/api/v1/nothing', 'application/problem+json'],
    ['/health/deep', 'application/problem+json'],
    ['/constructor', 'application/problem+json'],
  ])('%s that nothing answers is 404 in its dialect', async (path, media) => {
    const response = await send(path, { headers: json(key.apiKey) })
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toBe(media)
    expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
  })

  it.each(['/v1/models/%zz', '/v1/models/%', '/v1/models/%ff%fe', '/v1/models/%00', '/%E0%A4%A'])(
    '%s that no text encodes is 404',
    async (path) => {
      const head = `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key.apiKey}\r\nconnection: close\r\n\r\n`
      const answer = await sendRaw(stack.url, head)
      expect(answer.status).toBe(404)
      expect(answer.text).toContain('not_found')
    },
  )

  it('says which methods it takes', async () => {
    const wrong = await send(chatPath, { headers: json(key.apiKey) })
    expect(await errorIn(wrong)).toMatchObject({ status: 405, code: 'method_not_allowed' })
    expect(wrong.headers.get('allow')).toBe('POST, OPTIONS')
    const deleted = await send('/v1/models', { method: 'DELETE', headers: json(key.apiKey) })
    expect(deleted.headers.get('allow')).toBe('GET, HEAD, OPTIONS')
    const options = await send(chatPath, { method: 'OPTIONS' })
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'POST, OPTIONS'])
  })

  it('that takes GET takes HEAD, with the same checks and no body', async () => {
    const found = await send('/v1/models', { method: 'HEAD', headers: json(key.apiKey) })
    expect([found.status, await found.text()]).toEqual([200, ''])
    expect((await send('/v1/models', { method: 'HEAD' })).status).toBe(401)
    expect((await send('/health', { method: 'HEAD' })).status).toBe(200)
  })
})

describe('a header', () => {
  it('with an id of the caller is echoed when it is safe, and dropped when it is not', async () => {
    const echoed = async (id: string) =>
      (await send('/health', { headers: { 'x-client-request-id': id } })).headers.get('x-client-request-id')
    expect(await echoed('abcd-EFGH_1234')).toBe('abcd-EFGH_1234')
    for (const id of ['short', 'x'.repeat(65), 'with spaces in it', '<script>alert(1)</script>']) {
      expect(await echoed(id)).toBeNull()
    }
  })

  it('x-request-id is always ours', async () => {
    const response = await send('/health', { headers: { 'x-request-id': 'req_mine' } })
    expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
  })

  it('of 8 kB, or with odd bytes, breaks nothing', async () => {
    const long = await send('/v1/models', { headers: json(key.apiKey, { 'x-anything': 'x'.repeat(8192) }) })
    expect(long.status).toBe(200)
    const odd = await send('/v1/models', { headers: { authorization: `Bearer ${key.apiKey}\u00e9` } })
    expect(odd.status).toBe(401)
    const accept = await stack.call(key.apiKey, chatPath, { ...hello, n: 9 }, { headers: { accept: 'text/html' } })
    expect(accept.headers.get('content-type')).toBe('application/json')
  })
})
