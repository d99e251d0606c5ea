import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import { markChanged } from '../../../src/features/records/service.ts'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const world = () => admissionWorld(backend)
const failure = (code: string) => expect.objectContaining({ code })

async function withoutRedis(work: () => Promise<unknown>): Promise<void> {
  backend.proxy.mode('refuse')
  try {
    await work()
  } finally {
    backend.proxy.mode('pass')
  }
}

describe('a signed-in person', () => {
  it('is admitted as the session says, with the scopes of their role and the marker of a person', async () => {
    const { admit, token, orgId } = world()
    const { policy } = await admit({ credential: await token() })
    expect(policy).toMatchObject({ orgId, kind: 'user', userId: 'usr_1', role: 'member', mode: 'live' })
    expect(policy.keyId).toMatch(/^ses_/)
    expect(policy.expiresAt).toBe(2_000_000_000)
    expect(policy.scopes).toContain('user')
    expect(policy.scopes).not.toContain('owner')
  })

  it('as platform staff may do what operators do, and nothing of an organisation', async () => {
    const { admit, token, state } = world()
    Object.assign(state.session ?? {}, { audience: 'helix-admin', isOperator: true, role: 'owner' })
    const credential = await token({ aud: 'helix-admin' })
    expect((await admit({ credential, scope: 'operator' })).policy.kind).toBe('operator')
    await expect(admit({ credential })).rejects.toThrow(failure('permission_denied'))
  })

  it('costs one Redis request when warm, and their token is verified once', async () => {
    const { admit, token, deps, state } = world()
    const credential = await token()
    await admit({ credential })
    const [lookups, before] = [state.lookups, backend.proxy.requests()]
    // Without this key nothing could be verified.
    deps.memory.signingKeys.byKid = new Map()
    state.nowMs += 40_000
    await admit({ credential })
    expect(backend.proxy.requests() - before).toBe(1)
    expect(state.lookups).toBe(lookups)
  })

  it('shares the record of the session between its tokens and isolates', async () => {
    const { admit, token, forget, state } = world()
    await admit({ credential: await token() })
    const { lookups } = state
    forget()
    await admit({ credential: await token({ jti: 'tok_2' }) })
    expect(state.lookups).toBe(lookups)
  })

  it('is refused from the second in which the token ends, and from the one in which the session does', async () => {
    const { admit, token, state } = world()
    const credential = await token({ exp: state.nowMs / 1000 + 10 })
    await admit({ credential })
    state.nowMs += 9999
    await admit({ credential })
    state.nowMs += 1
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    if (state.session) state.session.expiresAt = state.nowMs / 1000 + 30
    const other = world()
    if (other.state.session) other.state.session.expiresAt = other.state.nowMs / 1000 + 30
    const ending = await other.token()
    await other.admit({ credential: ending })
    other.state.nowMs += 30_000
    await expect(other.admit({ credential: ending })).rejects.toThrow(failure('invalid_api_key'))
  })

  it.each([
    ['another organisation', { org: 'org_other' }],
    ['another person', { sub: 'usr_2' }],
    ['another audience', { aud: 'helix-admin' }],
  ] as const)('is not whom a token for %s claims, whoever has loaded the session', async (_what, claims) => {
    const { admit, token, forget } = world()
    await admit({ credential: await token() })
    const credential = await token(claims)
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    forget()
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    await admit({ credential: await token() })
  })

  it('whose session has ended is refused, and looked up once in half a minute', async () => {
    const { admit, token, state, forget } = world()
    state.session = undefined
    const credential = await token()
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    const { lookups } = state
    forget()
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    expect(state.lookups).toBe(lookups)
    expect(state.guesses).toBe(0)
  })

  it('can do less from the call after a demotion on, and nothing after the session ended', async () => {
    const { admit, token, state, deps, record } = world()
    const credential = await token()
    await admit({ credential })
    if (state.session) state.session.role = 'readonly'
    await markChanged(deps, [await record(credential)])
    await expect(admit({ credential })).rejects.toThrow(failure('permission_denied'))
    await admit({ credential, scope: 'chat:read' })
    state.session = undefined
    await markChanged(deps, [await record(credential)])
    await expect(admit({ credential, scope: 'chat:read' })).rejects.toThrow(failure('invalid_api_key'))
  })

  it('is refused within a minute when the key that signed the token is revoked', async () => {
    const { admit, token, state } = world()
    const credential = await token()
    await admit({ credential })
    state.signingKeys = []
    state.nowMs += 49_000
    await admit({ credential })
    state.nowMs += 6000
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
  })
})

describe('a signed-in person while a store is away', () => {
  it('lives on in this isolate for a minute without Redis, then in Postgres', async () => {
    const { admit, token, state } = world()
    const credential = await token()
    await admit({ credential })
    const { lookups } = state
    await withoutRedis(async () => {
      state.nowMs += 40_000
      await admit({ credential })
      expect(state.lookups).toBe(lookups)
      state.nowMs += 20_001
      await admit({ credential })
      expect(state.lookups).toBeGreaterThan(lookups)
      state.session = undefined
      state.nowMs += 60_001
      await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    })
  })

  it('is never taken for a stranger while Postgres is away', async () => {
    const { admit, token, state, deps, forget } = world()
    const credential = await token()
    await admit({ credential })
    state.postgresAway = true
    state.nowMs += 200_000
    await admit({ credential })
    forget()
    await admit({ credential })
    const unknown = await token({ sid: 'ses_0' })
    await expect(admit({ credential: unknown })).rejects.toThrow(DependencyError)
    deps.memory.signingKeys.byKid = new Map()
    forget()
    await expect(admit({ credential: unknown })).rejects.toThrow(DependencyError)
  })
})
