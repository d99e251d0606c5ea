import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { get, post } from '../../src/http/route.ts'
import { openaiErrorOf, thingGateway } from './support.ts'

const Named = z.strictObject({ name: z.string().max(5) })
const write = { summary: 'Write', scope: 'tools:write' } as const
const echo = post('/v1/thing', { ...write, body: Named, response: Named }, (_ctx, { body }) => body)

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
