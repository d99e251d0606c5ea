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
  const gateway = createGateway([area], fakeDeps(), { admit, note: (_deps, row) => void rows.push(row) })
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
      if (!ctx.arrival) throw new Error('there is no arrival')
      ctx.arrival.isBooked = true
      seen.push(ctx.arrival)
      throw new AppError('provider_error', 'No.')
    })
    const { send, rows } = noting([booked])
    await send('/api/v1/thing')
    expect(rows).toEqual([])
    expect(await seen[0]?.status).toBe(502)
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
