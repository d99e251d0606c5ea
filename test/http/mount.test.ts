import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createGateway } from '../../src/app.ts'
import { AppError } from '../../src/core/errors.ts'
import { get, patch, post } from '../../src/http/route.ts'
import { fakeAdmit, fakeDeps } from '../support/fake-deps.ts'
import { KEY, openaiErrorOf, problemOf, thingGateway } from './support.ts'

const Named = z.strictObject({ name: z.string().max(5) })
const write = { summary: 'Write', scope: 'tools:write' } as const
const echo = post('/v1/thing', { ...write, body: Named, response: Named }, (_ctx, { body }) => body)
describe('the order of checks', () => {
  it('puts an unknown path before a missing key', async () => {
    const { gateway } = thingGateway({ openai: [echo] })
    expect((await gateway(new Request('http://gateway/v1/thing/none'))).status).toBe(404)
    expect((await gateway(new Request('http://gateway/v1/nothing'))).status).toBe(404)
  })

  it('puts a wrong method before a missing key', async () => {
    const { gateway } = thingGateway({ openai: [echo] })
    const response = await gateway(new Request('http://gateway/v1/thing', { method: 'DELETE' }))
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('POST, OPTIONS')
  })

  it('puts a missing key before everything that is wrong with the body, and asks nobody', async () => {
    const { gateway, calls } = thingGateway({ openai: [echo] })
    const response = await gateway(new Request('http://gateway/v1/thing', { method: 'POST', body: '{' }))
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer')
    expect((await openaiErrorOf(response)).code).toBe('missing_api_key')
    expect(calls).toEqual([])
  })

  it('puts a missing scope before a broken body', async () => {
    const { sendJson } = thingGateway({ openai: [echo], scopes: ['tools:read'] })
    const response = await sendJson('/v1/thing', '{')
    expect(response.status).toBe(403)
    expect((await openaiErrorOf(response)).code).toBe('permission_denied')
  })

  it('puts an exhausted limit before a broken body', async () => {
    const limited = new AppError('rate_limit_exceeded', 'Too fast.', { retryAfterSeconds: 1.2 })
    const areas = [
      { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: async () => ({ routes: [echo] }) },
    ] as const
    const gateway = createGateway(areas, fakeDeps(), { admit: () => Promise.reject(limited) })
    const headers = { authorization: 'Bearer x', 'content-type': 'application/json' }
    const response = await gateway(new Request('http://gateway/v1/thing', { method: 'POST', headers, body: '{' }))
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('2')
    expect((await openaiErrorOf(response)).retryable).toBe(true)
  })

  it('still counts a request whose body is wrong, with nothing reserved', async () => {
    const { sendJson, calls } = thingGateway({
      openai: [
        post('/v1/thing', { ...write, body: Named, ask: () => ({ tokens: 9, candidates: ['a/b'] }) }, () => undefined),
      ],
    })
    expect((await sendJson('/v1/thing', { name: 7 })).status).toBe(400)
    expect((await sendJson('/v1/thing', { name: 'a' })).status).toBe(204)
    expect(calls.map(({ ask }) => ask)).toEqual([
      { tokens: 0, candidates: [] },
      { tokens: 9, candidates: ['a/b'] },
    ])
  })

  it('gives admission the policy-aware wish of the route, and who asks from where', async () => {
    const ask: unknown[] = []
    const { send, calls } = thingGateway({
      openai: [
        post(
          '/v1/thing',
          {
            ...write,
            body: Named,
            ask: (deps, policy, body) => {
              ask.push(deps.settings.version, policy.orgId, body.name)
              return { tokens: body.name.length, candidates: [] }
            },
          },
          () => undefined,
        ),
      ],
    })
    const headers = { 'content-type': 'application/json', 'cf-connecting-ip': '192.0.2.1' }
    const response = await send('/v1/thing', { method: 'POST', headers, body: '{"name":"abc"}' })
    expect(ask).toEqual(['0.0.0-test', 'org_1', 'abc'])
    expect(calls).toEqual([
      {
        credential: KEY,
        ip: '192.0.2.1',
        scope: 'tools:write',
        requestId: response.headers.get('x-request-id'),
        ask: { tokens: 3, candidates: [] },
      },
    ])
  })
})

describe('the credential', () => {
  const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl'

  const ask = (headers: HeadersInit, query = '') => {
    const { admit } = fakeAdmit({ [KEY]: ['tools:write'], [TOKEN]: ['tools:write'] })
    const route = get('/v1/thing', { ...write }, () => undefined)
    const areas = [
      { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: async () => ({ routes: [route] }) },
    ] as const
    return createGateway(areas, fakeDeps(), { admit })(new Request(`http://gateway/v1/thing${query}`, { headers }))
  }

  it.each([
    { authorization: `Bearer ${KEY}` },
    { authorization: `bearer ${KEY}` },
    { 'x-api-key': KEY },
    { authorization: `Bearer ${KEY}`, 'x-api-key': KEY },
    { authorization: 'Bearer', 'x-api-key': KEY },
  ])('is taken from %j', async (headers) => {
    expect((await ask(headers)).status).toBe(204)
  })

  it.each([
    { authorization: `Basic ${btoa('a:b')}` },
    { authorization: `Bearer ${KEY}, Bearer ${KEY}` },
    { authorization: `Bearer ${KEY} ${KEY}` },
    { authorization: `Bearer ${KEY}, ${KEY}` },
    { authorization: `Bearer ${KEY},` },
    { authorization: `Bearer ${KEY}; a=b` },
    { authorization: `Bearer\t${KEY}` },
    { authorization: `Bearer ${KEY}\t${KEY}` },
    { authorization: `Bearer "${KEY}"` },
    { authorization: `Token ${KEY}` },
    { authorization: `Bearer Bearer ${KEY}` },
    { authorization: KEY },
    { 'x-api-key': TOKEN },
    { 'x-api-key': `Bearer ${KEY}` },
    { 'x-api-key': `${KEY}, ${KEY}` },
    { 'x-api-key': `${KEY} ${KEY}` },
    { authorization: `Bearer ${TOKEN}`, 'x-api-key': TOKEN },
    { authorization: `Bearer ${TOKEN}`, 'x-api-key': KEY },
    { authorization: `Bearer ${KEY}`, 'x-api-key': 'other' },
    { authorization: 'Bearer other' },
    { 'x-api-key': 'constructor' },
  ])('is invalid in %j', async (headers) => {
    const response = await ask(headers)
    expect(response.status).toBe(401)
    expect((await openaiErrorOf(response)).code).toBe('invalid_api_key')
  })

  it.each([{}, { authorization: 'Bearer ' }, { 'x-api-key': '' }])('is missing in %j', async (headers) => {
    expect((await openaiErrorOf(await ask(headers))).code).toBe('missing_api_key')
  })

  it('is refused when it comes in two headers of one name', async () => {
    const headers = new Headers()
    headers.append('authorization', `Bearer ${KEY}`)
    headers.append('authorization', `Bearer ${KEY}`)
    expect((await openaiErrorOf(await ask(headers))).code).toBe('invalid_api_key')
  })

  it.each(['api_key', 'key', 'access_token', 'token', 'authorization', 'x-api-key'])(
    'is not looked for in the query, as %s',
    async (name) => {
      const response = await ask({}, `?${name}=${KEY}`)
      expect(response.status).toBe(401)
      expect((await openaiErrorOf(response)).code).toBe('missing_api_key')
    },
  )

  it('may be an access token in the bearer header', async () => {
    expect((await ask({ authorization: `Bearer ${TOKEN}` })).status).toBe(204)
  })
})

describe('input', () => {
  it('reaches the handler parsed, with its defaults', async () => {
    const Query = z.strictObject({ limit: z.coerce.number().default(20), tag: z.array(z.string()).default([]) })
    const { send } = thingGateway({
      problem: [
        patch(
          '/api/v1/thing/:id',
          { ...write, params: z.object({ id: z.string() }), query: Query, body: Named, response: z.unknown() },
          (_ctx, input) => input,
        ),
      ],
    })
    const init = { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"name":"a"}' }
    const response = await send('/api/v1/thing/a%2Fb%25?tag=1&tag=2', init)
    expect(await response.json()).toEqual({
      params: { id: 'a/b%' },
      query: { limit: 20, tag: ['1', '2'] },
      body: { name: 'a' },
    })
    const problem = await problemOf(await send('/api/v1/thing/a?limit=1&limt=2&__proto__=3', init))
    expect(problem.status).toBe(422)
    expect(problem.errors).toEqual([
      { pointer: 'limt', detail: 'unknown field' },
      { pointer: '__proto__', detail: 'unknown field' },
    ])
  })

  it.each([
    ['a NUL character', '{"name":"a\\u0000"}', '/name'],
    ['half a surrogate pair', '{"name":"\\udfff"}', '/name'],
    ['a NUL character in a list', '{"name":{"of":["a","b\\u0000"]}}', '/name/of/1'],
    ['a NUL character in a name', '{"name":{"\\u0000":"a"}}', '/name'],
  ])(
    'with %s could not be kept as it is: 422, and in what is said to a model it is passed on',
    async (_what, body, at) => {
      const { send } = thingGateway({
        problem: [post('/api/v1/thing', { ...write, body: z.object({ name: z.unknown() }) }, () => undefined)],
        openai: [post('/v1/thing', { ...write, body: z.object({ name: z.unknown() }) }, () => undefined)],
      })
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
      const problem = await problemOf(await send('/api/v1/thing', init))
      expect(problem.status).toBe(422)
      expect(problem.errors).toEqual([{ pointer: at, detail: 'holds a NUL character or half a surrogate pair' }])
      expect((await send('/v1/thing', init)).status).toBe(204)
    },
  )

  it('with a NUL character in its query is 422', async () => {
    const Query = z.strictObject({ after: z.string().optional() })
    const { send } = thingGateway({ problem: [get('/api/v1/thing', { ...write, query: Query }, () => undefined)] })
    expect((await send('/api/v1/thing?after=a')).status).toBe(204)
    const problem = await problemOf(await send('/api/v1/thing?after=%00'))
    expect([problem.status, problem.errors?.[0]?.pointer]).toEqual([422, 'after'])
  })

  it('that makes a path impossible is a missing resource', async () => {
    const { send } = thingGateway({
      problem: [
        get('/api/v1/thing/:id', { ...write, params: z.object({ id: z.string().startsWith('t_') }) }, () => undefined),
      ],
    })
    expect((await send('/api/v1/thing/t_1')).status).toBe(204)
    expect((await send('/api/v1/thing/x_1')).status).toBe(404)
  })
})
