import { describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { createGateway, createMisconfigured } from '../src/app.ts'
import { DependencyError } from '../src/core/errors.ts'
import { get, post, type Route } from '../src/http/route.ts'
import { KEY, openaiErrorOf, problemOf, thingGateway } from './http/support.ts'
import { fakeAdmit, fakeDeps, fakeExecution } from './support/fake-deps.ts'

const Named = z.strictObject({ name: z.string().max(5) })
const write = { summary: 'Write', scope: 'tools:write' } as const
const failing = (error: unknown): Route =>
  post('/v1/thing', { ...write, body: Named }, () => {
    throw error
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
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}))
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
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}))
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
    const gateway = createGateway(areas, fakeDeps(), fakeAdmit({}))
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
