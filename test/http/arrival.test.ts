import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createGateway } from '../../src/app.ts'
import { AppError, DependencyError } from '../../src/core/errors.ts'
import type { Arrival, RequestRow } from '../../src/core/request-log.ts'
import { get, post, type Route } from '../../src/http/route.ts'
import { fakeAdmit, fakeDeps } from '../support/fake-deps.ts'
import { KEY } from './support.ts'

const read = { summary: 'Read', scope: 'tools:read' } as const

/** A gateway of one area, and the rows that it notes. */
function noting(routes: readonly Route[]) {
  const rows: RequestRow[] = []
  const { admit } = fakeAdmit({ [KEY]: ['tools:read'] })
  const area = { name: 'thing', at: ['/api/v1/thing'], errors: 'problem', load: async () => ({ routes }) } as const
  const gateway = createGateway([area], fakeDeps(), { admit, note: (_deps, { row }) => void rows.push(row) })
  const send = (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${KEY}`, ...init.headers }
    return gateway(new Request(`http://gateway${path}`, { ...init, headers }))
  }
  return { send, rows }
}

describe('a request of a known caller', () => {
  it('is noted with its route, and nothing of what it carries', async () => {
    const route = get('/api/v1/thing/:id', { ...read, params: z.object({ id: z.string() }) }, () => undefined)
    const { send, rows } = noting([route])
    const headers = { 'user-agent': 'agent', 'cf-connecting-ip': '203.0.113.9', 'x-client-request-id': 'mine-mine' }
    const response = await send('/api/v1/thing/secret?also=secret', { headers })
    expect(rows).toMatchObject([
      {
        request_id: response.headers.get('x-request-id'),
        method: 'GET',
        path: '/api/v1/thing/:id',
        status_code: 204,
        error_code: null,
        ip: '203.0.113.0/24',
        user_agent: 'agent',
        client_request_id: 'mine-mine',
        bytes_in: null,
      },
    ])
    expect(JSON.stringify(rows)).not.toContain('secret')
    expect(JSON.stringify(rows)).not.toContain(KEY)
  })

  it.each([
    ['an error of ours', new AppError('conflict', 'No.'), 409, 'conflict'],
    ['a store that is away', new DependencyError('postgres', new Error('away')), 503, 'dependency_unavailable'],
    ['a crash', new Error('boom'), 500, 'internal'],
  ])('is noted with what became of it: %s', async (_what, thrown, status_code, error_code) => {
    const fail = get('/api/v1/thing', read, () => {
      throw thrown
    })
    const { send, rows } = noting([fail])
    await send('/api/v1/thing')
    expect(rows).toMatchObject([{ status_code, error_code }])
  })

  it('is noted when its input is wrong', async () => {
    const body = z.strictObject({ name: z.string() })
    const { send, rows } = noting([post('/api/v1/thing', { ...read, body }, () => undefined)])
    const headers = { 'content-type': 'application/json', 'content-length': '12' }
    await send('/api/v1/thing', { method: 'POST', body: '{"name":123}', headers })
    expect(rows).toMatchObject([{ status_code: 422, error_code: 'invalid_request', bytes_in: 12 }])
  })

  it('is left to whoever books it, who learns the status', async () => {
    const seen: Arrival[] = []
    const booked = get('/api/v1/thing', read, (ctx) => {
      if (ctx.arrival?.response === undefined) throw new Error('there is no arrival')
      ctx.arrival.isBooked = true
      seen.push(ctx.arrival)
      throw new AppError('provider_error', 'No.')
    })
    const { send, rows } = noting([booked])
    const text = await (await send('/api/v1/thing')).text()
    expect(rows).toEqual([])
    const { statusCode, bytesOut } = (await seen[0]?.response) ?? {}
    expect([statusCode, bytesOut]).toEqual([502, Buffer.byteLength(text)])
  })
})

describe('what a response weighs', () => {
  const Named = z.object({ name: z.string() })
  const pieces = (...texts: string[]) => {
    const encoder = new TextEncoder()
    const left = texts.map((text) => encoder.encode(text))
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        const next = left.shift()
        if (next) controller.enqueue(next)
        else controller.close()
      },
    })
  }
  const streamed = (body: ReadableStream) =>
    get('/api/v1/thing', { ...read, raw: ['text/plain'] }, () => new Response(body))

  it('is counted in bytes, not characters, errors included', async () => {
    const routes = [
      get('/api/v1/thing', { ...read, response: Named }, () => ({ name: 'Grüße an 🦊' })),
      get('/api/v1/thing/none', read, () => undefined),
      get('/api/v1/thing/fail', read, () => {
        throw new AppError('conflict', 'Grüße')
      }),
    ]
    const { send, rows } = noting(routes)
    const sent: number[] = []
    for (const path of ['', '/none', '/fail']) {
      sent.push((await (await send(`/api/v1/thing${path}`)).bytes()).byteLength)
    }
    expect(rows.map(({ bytes_out }) => bytes_out)).toEqual(sent)
    expect(sent[1]).toBe(0)
  })

  it('is nothing for HEAD', async () => {
    const { send, rows } = noting([get('/api/v1/thing', { ...read, response: Named }, () => ({ name: 'thing' }))])
    await send('/api/v1/thing', { method: 'HEAD' })
    expect(rows).toMatchObject([{ method: 'HEAD', status_code: 200, bytes_out: 0 }])
  })

  it('is known of a stream once it has ended', async () => {
    const { send, rows } = noting([streamed(pieces('one', 'Grüße'))])
    const response = await send('/api/v1/thing')
    expect(rows).toEqual([])
    expect(await response.text()).toBe('oneGrüße')
    await expect.poll(() => rows).toMatchObject([{ status_code: 200, bytes_out: 10 }])
  })

  it('is what was read of a stream whose reader left, or that broke', async () => {
    const { send, rows } = noting([streamed(pieces('one', 'two', 'three'))])
    const reader = (await send('/api/v1/thing')).body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await expect.poll(() => rows).toMatchObject([{ bytes_out: 3 }])

    const breaking = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('some')),
      pull: (controller) => controller.error(new Error('broken')),
    })
    const other = noting([streamed(breaking)])
    await expect((await other.send('/api/v1/thing')).text()).rejects.toThrow('broken')
    await expect.poll(() => other.rows).toMatchObject([{ bytes_out: 4 }])
  })
})

it('a request of nobody, of a public route or of none is not noted', async () => {
  const open = get('/api/v1/thing', { summary: 'Open', scope: 'public' }, () => undefined)
  const guarded = get('/api/v1/thing/guarded', read, () => undefined)
  const { send, rows } = noting([open, guarded])
  const statuses = [
    await send('/api/v1/thing'),
    await send('/api/v1/thing/guarded', { headers: { authorization: 'Bearer hx_other' } }),
    await send('/api/v1/thing/none'),
    await send('/api/v1/thing/guarded', { method: 'DELETE' }),
  ].map(({ status }) => status)
  expect(statuses).toEqual([204, 401, 404, 405])
  expect(rows).toEqual([])
})
