import { describe, expect, it } from 'vitest'
import { createGateway } from '../../src/app.ts'
import type { Admit, Strangers } from '../../src/core/admission.ts'
import { AppError } from '../../src/core/errors.ts'
import { get } from '../../src/http/route.ts'
import { fakeAdmit, fakeDeps } from '../support/fake-deps.ts'

const KEY = 'hx_known'
const ip = '203.0.113.5'

function setup(isOpen = true) {
  const visits: unknown[] = []
  const strangers: Strangers = async (_deps, visit) => {
    visits.push(visit)
    if (!isOpen) throw new AppError('rate_limit_exceeded', 'Too many.', { retryAfterSeconds: 7 })
  }
  const { admit } = fakeAdmit({ [KEY]: ['tools:read'] })
  const looking: Admit = Object.assign((...call: Parameters<Admit>) => admit(...call), {
    mayBeKnown: (_deps: unknown, credential: string | undefined) => credential?.startsWith('hx_') ?? false,
  })
  const routes = [
    get('/t/private', { summary: 'Private', scope: 'tools:read' }, () => undefined),
    get('/t/secret', { summary: 'Secret', scope: 'keys:write' }, () => undefined),
    get('/t/public', { summary: 'Public', scope: 'public' }, () => undefined),
    get('/t/probe', { summary: 'Probe', scope: 'public', isProbe: true }, () => undefined),
  ]
  const areas = [{ name: 'all', at: ['/t'], errors: 'problem', load: async () => ({ routes }) }] as const
  const gateway = createGateway(areas, fakeDeps(), { admit: looking, strangers })
  const send = (path: string, credential?: string) => {
    const headers = new Headers({ 'cf-connecting-ip': ip })
    if (credential !== undefined) headers.set('authorization', credential)
    return gateway(new Request(`http://gateway${path}`, { headers }))
  }
  return { send, visits }
}

describe('requests without a credential', () => {
  it.each([
    ['none', undefined],
    ['one that no key and no token looks like', 'Bearer sk-123'],
    ['one in a header of another form', 'Basic YTpi'],
  ])('are held to a limit: %s', async (_what, credential) => {
    const open = setup()
    expect((await open.send('/t/private', credential)).status).toBe(401)
    expect(open.visits).toEqual([{ ip, door: 'private' }])
    const refused = await setup(false).send('/t/private', credential)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('7')
    expect(refused.headers.get('www-authenticate')).toBeNull()
  })

  it('of routes that need none are held to one of their own, but for probes', async () => {
    const { send, visits } = setup()
    expect((await send('/t/public')).status).toBe(204)
    expect((await send('/t/probe')).status).toBe(204)
    expect(visits).toEqual([{ ip, door: 'public' }])
    const refused = setup(false)
    expect((await refused.send('/t/public')).status).toBe(429)
    expect((await refused.send('/t/probe')).status).toBe(204)
  })
})

describe('requests with a credential', () => {
  it('cost nothing more, whether or not it is valid and may do what it asks', async () => {
    const { send, visits } = setup(false)
    expect((await send('/t/private', `Bearer ${KEY}`)).status).toBe(204)
    expect((await send('/t/secret', `Bearer ${KEY}`)).status).toBe(403)
    expect((await send('/t/private', 'Bearer hx_other')).status).toBe(401)
    expect((await send('/nowhere')).status).toBe(404)
    expect(visits).toEqual([])
  })
})
