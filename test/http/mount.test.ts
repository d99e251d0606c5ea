import { describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { createGateway, createMisconfigured } from '../../src/app.ts'
import { AppError, DependencyError } from '../../src/core/errors.ts'
import { get, patch, post, type Route } from '../../src/http/route.ts'
import { fakeAdmit, fakeDeps, fakeExecution } from '../support/fake-deps.ts'
import { KEY, openaiErrorOf, problemOf, thingGateway } from './support.ts'

const Named = z.strictObject({ name: z.string().max(5) })
const write = { summary: 'Write', scope: 'thing:write' } as const
const echo = post('/v1/thing', { ...write, body: Named, response: Named }, (_ctx, { body }) => body)
const failing = (error: unknown): Route =>
  post('/v1/thing', { ...write, body: Named }, () => {
    throw error
  })

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
    const { sendJson } = thingGateway({ openai: [echo], scopes: ['thing:read'] })
    const response = await sendJson('/v1/thing', '{')
    expect(response.status).toBe(403)
    expect((await openaiErrorOf(response)).code).toBe('permission_denied')
  })

  it('puts an exhausted limit before a broken body', async () => {
    const limited = new AppError('rate_limit_exceeded', 'Too fast.', { retryAfterSeconds: 1.2 })
    const areas = [
      { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: async () => ({ routes: [echo] }) },
    ] as const
    const gateway = createGateway(areas, fakeDeps(), () => Promise.reject(limited))
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
        scope: 'thing:write',
        requestId: response.headers.get('x-request-id'),
        ask: { tokens: 3, candidates: [] },
      },
    ])
  })
})

describe('the credential', () => {
  const ask = (headers: Record<string, string>) => {
    const { admit } = fakeAdmit({ [KEY]: ['thing:write'] })
    const route = get('/v1/thing', { ...write }, () => undefined)
    const areas = [
      { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: async () => ({ routes: [route] }) },
    ] as const
    return createGateway(areas, fakeDeps(), admit)(new Request('http://gateway/v1/thing', { headers }))
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
    { authorization: KEY },
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

describe('an answer', () => {
  it('holds only what its schema declares', async () => {
    const reply = { name: 'a', secret: 'never' }
    const { send } = thingGateway({
      openai: [get('/v1/thing', { ...write, response: z.object({ name: z.string() }) }, () => reply)],
    })
    const response = await send('/v1/thing')
    expect(await response.json()).toEqual({ name: 'a' })
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('that does not fit its schema is our fault and shows nothing', async () => {
    const reply: { name: string } = JSON.parse('{"name":7}')
    const { send, lines } = thingGateway({
      openai: [get('/v1/thing', { ...write, response: z.object({ name: z.string() }) }, () => reply)],
    })
    const error = await openaiErrorOf(await send('/v1/thing'))
    expect(error.code).toBe('internal')
    expect(error.message).not.toContain('name')
    expect(lines.map(({ event }) => event)).toEqual(['request_crashed'])
  })

  it('has the status of its route', async () => {
    const { send } = thingGateway({
      openai: [post('/v1/thing', { ...write, status: 201, response: z.object({}) }, () => ({}))],
    })
    expect((await send('/v1/thing', { method: 'POST' })).status).toBe(201)
  })

  it('of the handler’s own making keeps its headers and gets ours', async () => {
    const fetched = () => Response.redirect('http://elsewhere/', 302)
    const { send } = thingGateway({
      openai: [
        get(
          '/v1/thing',
          write,
          () => new Response('text', { headers: { 'cache-control': 'max-age=9', 'x-own': '1' } }),
        ),
        get('/v1/thing/immutable', write, fetched),
      ],
    })
    const own = await send('/v1/thing')
    expect([own.headers.get('cache-control'), own.headers.get('x-own')]).toEqual(['max-age=9', '1'])
    expect(own.headers.get('x-request-id')).toMatch(/^req_/)
    const immutable = await send('/v1/thing/immutable')
    expect(immutable.status).toBe(302)
    expect(immutable.headers.get('location')).toBe('http://elsewhere/')
    expect(immutable.headers.get('x-request-id')).toMatch(/^req_/)
  })

  it('carries the caller’s limits', async () => {
    const { send, sendJson } = thingGateway({
      openai: [echo, get('/v1/thing', write, () => undefined)],
      admission: {
        requests: { limit: 60, remaining: 59, resetSeconds: 0.25 },
        tokens: { limit: 1000, remaining: 12.7, resetSeconds: 359.2 },
      },
    })
    for (const response of [await send('/v1/thing'), await sendJson('/v1/thing', {})]) {
      const rates = [...response.headers].filter(([name]) => name.startsWith('x-ratelimit'))
      expect(Object.fromEntries(rates)).toEqual({
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': '59',
        'x-ratelimit-reset-requests': '250ms',
        'x-ratelimit-limit-tokens': '1000',
        'x-ratelimit-remaining-tokens': '12',
        'x-ratelimit-reset-tokens': '6m0s',
      })
    }
  })
})

describe('every answer', () => {
  const { send, sendJson } = thingGateway({
    openai: [echo, get('/v1/thing', write, () => undefined)],
    problem: [get('/', { summary: 'Root', scope: 'public' }, () => undefined)],
  })
  const asked: [string, () => Promise<Response>][] = [
    ['204', () => send('/v1/thing', { headers: { 'x-client-request-id': 'my-id_12' } })],
    ['200', () => sendJson('/v1/thing', { name: 'a' })],
    ['400', () => sendJson('/v1/thing', {})],
    ['404', () => send('/nowhere')],
    ['405', () => send('/v1/thing', { method: 'PUT' })],
    ['public', () => send('/')],
    ['options', () => send('/v1/thing', { method: 'OPTIONS' })],
  ]

  it.each(asked)('(%s) has a request id of ours and the security headers', async (_name, ask) => {
    const { headers } = await ask()
    expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('strict-transport-security')).toMatch(/^max-age=\d{8}/)
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  it.each([
    ['my-id_123', 'my-id_123'],
    ['short', null],
    ['x'.repeat(65), null],
    ['has space', null],
    ['<script>alert', null],
  ])('echoes the client’s id %j as %j', async (id, echoed) => {
    const headers = { 'x-client-request-id': id, 'x-request-id': 'req_theirs' }
    for (const path of ['/v1/thing', '/nowhere']) {
      const response = await send(path, { headers })
      expect(response.headers.get('x-client-request-id')).toBe(echoed)
      expect(response.headers.get('x-request-id')).not.toBe('req_theirs')
    }
  })
})

describe('a path', () => {
  const { gateway, send } = thingGateway({
    openai: [get('/v1/thing/:id', { ...write, params: z.object({ id: z.string() }) }, () => undefined)],
    problem: [get('/', { summary: 'Root', scope: 'public', response: z.object({}) }, () => ({}))],
  })

  it.each([
    '/v1/thing/%',
    '/v1/thing/%zz',
    '/v1/thing/%ff',
    '/v1/thing/a%00',
    '/v1/thingy',
    '/v1/thing/',
    '/v1',
    '//v1/thing/a',
  ])('%s is unknown', async (path) => {
    const response = await send(path)
    expect(response.status).toBe(404)
    const error = path.startsWith('/v1') ? await openaiErrorOf(response) : await problemOf(response)
    expect(error.code).toBe('not_found')
  })

  it('that is public answers HEAD as GET without a body', async () => {
    const response = await gateway(new Request('http://gateway/', { method: 'HEAD' }))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.text()).toBe('')
  })

  it('tells its methods to OPTIONS', async () => {
    const response = await gateway(new Request('http://gateway/', { method: 'OPTIONS' }))
    expect(response.status).toBe(204)
    expect(response.headers.get('allow')).toBe('GET, HEAD, OPTIONS')
    expect((await gateway(new Request('http://gateway/none', { method: 'OPTIONS' }))).status).toBe(404)
  })
})

describe('a failure', () => {
  it('of a store is 503 and says which only in the log', async () => {
    const { sendJson, lines } = thingGateway({
      openai: [failing(new DependencyError('redis', new Error('ECONNREFUSED 10.0.0.7')))],
    })
    const response = await sendJson('/v1/thing', { name: 'a' })
    expect(response.status).toBe(503)
    const error = await openaiErrorOf(response)
    expect(error).toMatchObject({ code: 'dependency_unavailable', type: 'server_error', retryable: true })
    expect(JSON.stringify(error)).not.toMatch(/redis|10\.0\.0\.7/)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level: 'error', event: 'dependency_failed', facts: { dependency: 'redis' } })
  })

  it.each([[new Error('secret text')], ['secret text'], [undefined], [new Error('a', { cause: 'secret text' })]])(
    'that nobody meant (%s) shows a fixed sentence with the request id',
    async (thrown) => {
      const { sendJson, lines } = thingGateway({ openai: [failing(thrown)] })
      const response = await sendJson('/v1/thing', { name: 'a' })
      const id = response.headers.get('x-request-id')
      expect(response.status).toBe(500)
      const error = await openaiErrorOf(response)
      expect(error.message).toBe(`Something went wrong on our side. Quote ${id} when you report it.`)
      expect(error.code).toBe('internal')
      expect(lines[0]).toMatchObject({ event: 'request_crashed', facts: { request_id: id } })
    },
  )

  it('of an area that does not load is answered in its dialect', async () => {
    const areas = [
      { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: () => Promise.reject(new Error('cannot load')) },
    ] as const
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}).admit)
    expect((await openaiErrorOf(await gateway(new Request('http://gateway/v1/thing')))).code).toBe('internal')
  })

  it('of deferred work is logged and harms nobody', async () => {
    const execution = fakeExecution()
    const { gateway, lines } = thingGateway({
      openai: [
        get('/v1/thing', write, ({ defer }) => {
          defer(Promise.reject(new Error('later')))
          return undefined
        }),
      ],
    })
    const headers = { authorization: `Bearer ${KEY}` }
    const response = await gateway(new Request('http://gateway/v1/thing', { headers }), undefined, execution)
    expect(response.status).toBe(204)
    await execution.settled()
    expect(lines.map(({ event }) => event)).toEqual(['deferred_work_failed'])
  })
})

describe('an area', () => {
  it('is loaded by its first request and kept', async () => {
    let loads = 0
    const load = async () => {
      loads++
      return { routes: [get('/v1/thing', { summary: 'x', scope: 'public' }, () => undefined)] }
    }
    const areas = [{ name: 'thing', at: ['/v1/thing'], errors: 'openai', load }] as const
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}).admit)
    expect(loads).toBe(0)
    await gateway(new Request('http://gateway/v1/other'))
    expect(loads).toBe(0)
    await gateway(new Request('http://gateway/v1/thing'))
    await gateway(new Request('http://gateway/v1/thing?x=1'))
    expect(loads).toBe(1)
  })

  it('with the longer prefix wins', async () => {
    const area = (name: string, at: string, path: string) => ({
      name,
      at: [at],
      errors: 'problem' as const,
      load: async () => ({ routes: [get(path, { summary: name, scope: 'public' }, () => new Response(name))] }),
    })
    const areas = [
      area('docs', '/docs', '/docs/b'),
      area('special', '/docs/a', '/docs/a'),
      area('long', '/api/v1/long', '/api/v1/long/x/y/z'),
    ]
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}).admit)
    const textOf = async (path: string) => (await gateway(new Request(`http://gateway${path}`))).text()
    expect(await textOf('/docs/a')).toBe('special')
    expect(await textOf('/docs/b')).toBe('docs')
    expect(await textOf('/api/v1/long/x/y/z')).toBe('long')
  })
})

describe('a gateway that is not set up', () => {
  it('says so to everyone in their dialect, and what is missing only to the log', async () => {
    const written = vi.spyOn(console, 'error').mockImplementation(() => {})
    const gateway = createMisconfigured(['DATABASE_URL is missing'])
    expect(written.mock.calls).toEqual([
      ['{"level":"error","event":"configuration_error","problems":["DATABASE_URL is missing"]}'],
    ])
    written.mockRestore()
    const openai = await gateway(new Request('http://gateway/v1/chat/completions', { method: 'POST' }))
    const problem = await gateway(new Request('http://gateway/health'))
    expect([openai.status, problem.status]).toEqual([503, 503])
    expect(await openaiErrorOf(openai)).toMatchObject({ code: 'configuration_error' })
    expect(JSON.stringify(await problemOf(problem))).not.toContain('DATABASE_URL')
  })
})
