import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const world = () => admissionWorld(backend)
const denied = (message: string) => expect.objectContaining({ code: 'permission_denied', message })

describe('a refusal', () => {
  it('names the scope that an API key lacks', async () => {
    const { admit } = world()
    const refused = admit({ scope: 'keys:write' })
    await expect(refused).rejects.toThrow(denied('This API key lacks the scope keys:write.'))
  })

  it.each(['user', 'owner', 'operator'])(
    'tells an API key that %s routes are for people, whatever its scopes',
    async (scope) => {
      const { admit, state } = world()
      if (state.row) state.row.scopes = ['*:*']
      const refused = admit({ scope })
      await expect(refused).rejects.toThrow(denied('This needs a signed-in person: an API key cannot do it.'))
      await expect(admit({ scope: 'org:write' })).resolves.toBeTruthy()
      await expect(admit({ scope: 'org:write|operator' })).resolves.toBeTruthy()
    },
  )

  it('tells people what they are not', async () => {
    const { admit, token } = world()
    const credential = await token()
    const refused = async (scope: string, message: string) =>
      expect(admit({ credential, scope })).rejects.toThrow(denied(message))
    await admit({ credential, scope: 'user' })
    await refused('owner', 'This needs an owner of the organisation.')
    await refused('operator', 'This needs an operator, signed in for the audience helix-admin.')
    await refused('org:write|operator', 'You lack the scope org:write.')
  })
})

describe('a key for some addresses', () => {
  const allowed = ['198.51.100.7', '2001:db8::/32', '192.0.2.0/24']

  it.each(['198.51.100.7', '2001:db8::9', '192.0.2.200', '::ffff:192.0.2.200'])('may be used from %s', async (ip) => {
    const { admit, state } = world()
    if (state.row) state.row.allowed_ips = allowed
    await admit({ ip })
    await admit({ ip })
  })

  it.each(['198.51.100.8', '2001:db9::9', '192.0.3.1', 'unknown'])(
    'is denied to %s, which holds nothing',
    async (ip) => {
      const { admit, state, ledgerCalls } = admissionWorld(backend, {
        budgets: [{ id: 'bud_1', window: 'total', limit_nanos: 1000 }],
      })
      if (state.row) state.row.allowed_ips = allowed
      const message = 'This API key may not be used from this address.'
      await expect(admit({ ip })).rejects.toThrow(denied(message))
      await expect(admit({ ip })).rejects.toThrow(denied(message))
      // Who may not come in is not told what the key can do.
      await expect(admit({ ip, scope: 'keys:write' })).rejects.toThrow(denied(message))
      expect(ledgerCalls).toEqual([])
    },
  )
})

describe('the audit log', () => {
  const path = '/api/v1/keys/:id'

  it('has one row a minute for a caller who is denied the same again and again', async () => {
    const { admit, state, settled, orgId } = world()
    const deny = async (scope: string) => {
      await expect(admit({ path, scope })).rejects.toMatchObject({ code: 'permission_denied' })
      await settled()
    }
    await deny('keys:write')
    await deny('keys:write')
    state.nowMs += 59_999
    await deny('keys:write')
    expect(state.audited).toEqual([
      expect.objectContaining({
        org_id: orgId,
        actor_kind: 'api_key',
        actor_id: 'key_1',
        action: 'access.denied',
        details: { scope: 'keys:write', path },
        ip: '192.0.2.1',
        request_id: 'req_1',
      }),
    ])
    await deny('members:read')
    state.nowMs += 1
    await deny('keys:write')
    expect(state.audited.map(({ details }) => details)).toEqual([
      { scope: 'keys:write', path },
      { scope: 'members:read', path },
      { scope: 'keys:write', path },
    ])
  })

  it('names the person who is signed in', async () => {
    const { admit, state, settled, token } = world()
    const refused = admit({ path, scope: 'owner', credential: await token() })
    await expect(refused).rejects.toMatchObject({ code: 'permission_denied' })
    await settled()
    expect(state.audited).toEqual([expect.objectContaining({ actor_kind: 'user', actor_id: 'usr_1' })])
  })

  it('has no row for calls of models, for strangers and for limits', async () => {
    const { admit, state, settled } = admissionWorld(backend, {
      limits: [{ metric: 'requests', amount: 1, burst: 2 }],
    })
    await expect(admit({ scope: 'keys:write' })).rejects.toMatchObject({ code: 'permission_denied' })
    await admit({ path })
    await expect(admit({ path })).rejects.toMatchObject({ code: 'rate_limit_exceeded' })
    await expect(admit({ path, credential: 'hx_live_x' })).rejects.toMatchObject({ code: 'invalid_api_key' })
    await settled()
    expect(state.audited).toEqual([])
  })
})
