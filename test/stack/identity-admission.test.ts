import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Policy } from '../../src/core/admission.ts'
import { hashKey } from '../../src/features/keys/service.ts'
import { markChanged, recordKeys } from '../../src/features/records/service.ts'
import { errorIn } from '../support/client-error.ts'
import { depsOver, keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

/** Two gateways over the same stores: what one is told, the other has to obey. */
let here: Stack
let there: Stack

beforeAll(async () => {
  ;[here, there] = await Promise.all([startStack(), startStack()])
})
afterEach(() => {
  for (const store of [here.redis, here.postgres, there.redis, there.postgres]) store.mode('pass')
})
afterAll(async () => {
  await Promise.all([here?.close(), there?.close()])
})

const MODELS = '/v1/models'
const statusOf = async (stack: Stack, credential: string, path = MODELS): Promise<number> =>
  (await stack.call(credential, path)).status

async function bothAnswer(credential: string, status: number, path = MODELS): Promise<void> {
  expect(await statusOf(there, credential, path)).toBe(status)
  expect(await statusOf(here, credential, path)).toBe(status)
}

const change = async (by: Person, method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown) => {
  const response = await here.call(by.accessToken, path, body, { method })
  expect([path, response.status]).toEqual([path, expect.toSatisfy((status: number) => status < 300)])
}

const recordOf = async (apiKey: string) => recordKeys.key(await hashKey(depsOver(here).settings.keyPepper, apiKey))

describe('an access token', () => {
  it('opens what its person may do, costs one Redis request, and asks Postgres nothing once it is warm', async () => {
    const member = await person(here, { role: 'member' })
    await bothAnswer(member.accessToken, 200)
    const costs = () => [here.redis.requests(), here.postgres.requests()]
    let before: number[] = []
    // What the first calls left for after their replies, their rows in the log of requests, is done.
    const isQuiet = () => {
      const earlier = before
      before = costs()
      return String(earlier) === String(before)
    }
    await expect.poll(isQuiet, { interval: 1500, timeout: 20_000 }).toBe(true)
    expect(await statusOf(here, member.accessToken)).toBe(200)
    expect(costs()).toEqual([(before[0] ?? 0) + 1, before[1]])
    await bothAnswer(member.accessToken, 403, '/api/v1/members')
    await bothAnswer(member.accessToken, 200, '/api/v1/auth/me')
  })

  it('is refused in x-api-key, in the query, twice, cut, and changed in any part', async () => {
    const { accessToken: token } = await person(here)
    const ask = async (headers: Record<string, string>, query = '') =>
      (await fetch(`${here.url}${MODELS}${query}`, { headers })).status
    expect(await ask({ 'x-api-key': token })).toBe(401)
    expect(await ask({}, `?access_token=${token}`)).toBe(401)
    expect(await ask({ authorization: `Bearer ${token}, Bearer ${token}` })).toBe(401)
    expect(await ask({ authorization: `Basic ${token}` })).toBe(401)
    expect(await ask({ authorization: `Bearer ${token.slice(0, -1)}` })).toBe(401)
    const [head = '', body = '', signature = ''] = token.split('.')
    const swapped = (text: string) => (text.startsWith('A', 10) ? 'B' : 'A')
    const altered = (text: string) => text.slice(0, 10) + swapped(text) + text.slice(11)
    for (const parts of [
      [altered(head), body, signature],
      [head, altered(body), signature],
      [head, body, altered(signature)],
    ])
      expect(await ask({ authorization: `Bearer ${parts.join('.')}` })).toBe(401)
    expect(await ask({ authorization: `Bearer ${token}` })).toBe(200)
  })

  it('is what routes of people and of operators want: an API key is told so', async () => {
    const { orgId } = await here.org()
    const { apiKey } = await keyOf(here, { orgId })
    for (const path of ['/api/v1/auth/me', '/api/v1/admin/orgs']) {
      const response = await here.call(apiKey, path)
      expect(await errorIn(response)).toMatchObject({ status: 403, code: 'permission_denied' })
    }
    const owner = await person(here)
    const staff = await person(here, { isOperator: true, audience: 'helix-admin' })
    expect(await statusOf(here, owner.accessToken, '/api/v1/admin/orgs')).toBe(403)
    expect(await statusOf(here, staff.accessToken, '/api/v1/admin/orgs')).toBe(200)
    expect(await statusOf(here, staff.accessToken)).toBe(403)
  })
})

describe('a change at one gateway holds on the next call at the other', () => {
  it('when a key is revoked, by the API and by SQL with a mark', async () => {
    const owner = await person(here)
    const [one, other] = [await keyOf(here, owner), await keyOf(here, owner)]
    for (const { apiKey } of [one, other]) await bothAnswer(apiKey, 200)
    await change(owner, 'DELETE', `/api/v1/keys/${one.keyId}`)
    await bothAnswer(one.apiKey, 401)
    await here.query('update api_keys set revoked_at = 1 where id = $1', [other.keyId])
    await markChanged(depsOver(here), [await recordOf(other.apiKey)])
    await bothAnswer(other.apiKey, 401)
  })

  it('when a person is demoted: their keys and sessions can do less at once', async () => {
    const owner = await person(here)
    const member = await person(here, { orgId: owner.orgId, role: 'admin' })
    const { apiKey } = await keyOf(here, member)
    for (const credential of [apiKey, member.accessToken]) await bothAnswer(credential, 200, '/api/v1/members')
    await change(owner, 'PATCH', `/api/v1/members/${member.userId}`, { role: 'readonly' })
    for (const credential of [apiKey, member.accessToken]) {
      await bothAnswer(credential, 403, '/api/v1/members')
      await bothAnswer(credential, 200)
    }
    const [row] = await here.query('select scopes from api_keys where user_id = $1', [member.userId])
    expect(row?.scopes).toEqual(['*:*'])
  })

  it('when a person is deactivated or removed, or their session ends', async () => {
    const owner = await person(here)
    const [idle, gone, out] = [
      await person(here, { orgId: owner.orgId, role: 'member' }),
      await person(here, { orgId: owner.orgId, role: 'member' }),
      await person(here, { orgId: owner.orgId, role: 'member' }),
    ]
    const [{ apiKey: idleKey }, { apiKey: goneKey }, { apiKey: outKey }] = [
      await keyOf(here, idle),
      await keyOf(here, gone),
      await keyOf(here, out),
    ]
    const credentials = [idle.accessToken, idleKey, gone.accessToken, goneKey, out.accessToken]
    for (const credential of credentials) await bothAnswer(credential, 200)
    await change(owner, 'PATCH', `/api/v1/users/${idle.userId}`, { is_active: false })
    await change(owner, 'DELETE', `/api/v1/members/${gone.userId}`)
    await change(out, 'POST', '/api/v1/auth/logout')
    for (const credential of credentials) await bothAnswer(credential, 401)
    // A key is no part of a session.
    await bothAnswer(outKey, 200)
  })

  it('when an operator suspends an organisation', async () => {
    const owner = await person(here)
    const { apiKey } = await keyOf(here, owner)
    const staff = await person(here, { isOperator: true, audience: 'helix-admin' })
    for (const credential of [apiKey, owner.accessToken]) await bothAnswer(credential, 200)
    await change(staff, 'PATCH', `/api/v1/admin/orgs/${owner.orgId}`, { status: 'suspended' })
    for (const credential of [apiKey, owner.accessToken]) await bothAnswer(credential, 401)
    await change(staff, 'PATCH', `/api/v1/admin/orgs/${owner.orgId}`, { status: 'active' })
    await bothAnswer(apiKey, 200)
  })
})

describe('a change that nobody marked', () => {
  it('is seen by the call that has the record confirmed', async () => {
    const { apiKey, keyId } = await here.org()
    await bothAnswer(apiKey, 200)
    await here.query('update api_keys set revoked_at = 1 where id = $1', [keyId])
    await bothAnswer(apiKey, 200)
    await depsOver(here).redis.pipeline([['HSET', await recordOf(apiKey), { due: '1' }]])
    await bothAnswer(apiKey, 401)
  })

  it('leaves the record as it is while Postgres hangs, for a second and a half at most', async () => {
    const { apiKey } = await here.org()
    expect(await statusOf(here, apiKey)).toBe(200)
    here.postgres.mode('hang')
    await depsOver(here).redis.pipeline([['HSET', await recordOf(apiKey), { due: '1' }]])
    const startedMs = performance.now()
    expect(await statusOf(here, apiKey)).toBe(200)
    expect(performance.now() - startedMs).toBeGreaterThan(1400)
    expect(await statusOf(here, apiKey)).toBe(200)
  })
})

describe('while a store is away', () => {
  it('(Postgres) what Redis knows works at any gateway, and the rest is 503, never 401', async () => {
    const [warm, cold] = [await person(here), await person(here)]
    const [warmKey, coldKey] = [await keyOf(here, warm), await keyOf(here, cold)]
    for (const credential of [warm.accessToken, warmKey.apiKey]) expect(await statusOf(here, credential)).toBe(200)
    // The other gateway has the signing keys, and has never seen these credentials.
    expect(await statusOf(there, (await person(here)).accessToken)).toBe(200)
    here.postgres.mode('refuse')
    there.postgres.mode('refuse')
    for (const credential of [warm.accessToken, warmKey.apiKey]) await bothAnswer(credential, 200)
    for (const credential of [cold.accessToken, coldKey.apiKey]) await bothAnswer(credential, 503)
    here.postgres.mode('pass')
    there.postgres.mode('pass')
    for (const credential of [cold.accessToken, coldKey.apiKey]) await bothAnswer(credential, 200)
  })

  it('(Redis) people and keys are read from Postgres, where a session that ended is one', async () => {
    const [live, ended] = [await person(here), await person(here)]
    expect(await statusOf(here, live.accessToken)).toBe(200)
    here.redis.mode('refuse')
    there.redis.mode('refuse')
    await here.query('update login_sessions set revoked_at = 1 where id = $1', [ended.sessionId])
    await bothAnswer(live.accessToken, 200)
    await bothAnswer(ended.accessToken, 401)
  })
})

describe('a key that may be used from some addresses', () => {
  it('is denied elsewhere, and the audit log has the denial of the API', async () => {
    const owner = await person(here)
    const { apiKey, keyId } = await keyOf(here, owner)
    const send = (path: string, ip: string) =>
      here.call(apiKey, path, undefined, { headers: { 'cf-connecting-ip': ip } })
    await here.query("update api_keys set allowed_ips = '{192.0.2.0/24,2001:db8::/32}' where id = $1", [keyId])
    for (const ip of ['192.0.2.9', '2001:db8::9', '::ffff:192.0.2.9'])
      expect((await send('/api/v1/members', ip)).status).toBe(200)
    expect(await errorIn(await send(MODELS, '198.51.100.1'))).toMatchObject({ status: 403, code: 'permission_denied' })
    expect((await send('/api/v1/members', '198.51.100.1')).status).toBe(403)
    const rows = () =>
      here.query("select actor_id, details, ip from audit_log where org_id = $1 and action = 'access.denied'", [
        owner.orgId,
      ])
    await expect
      .poll(rows, { timeout: 5000 })
      .toEqual([{ actor_id: keyId, details: { scope: 'members:read', path: '/api/v1/members' }, ip: '198.51.100.1' }])
  })
})

describe('the record of a credential', () => {
  it('holds no secret of it', async () => {
    const owner = await person(here)
    const { apiKey, keyId } = await keyOf(here, owner)
    for (const credential of [apiKey, owner.accessToken]) expect(await statusOf(here, credential)).toBe(200)
    const [ofKey, ofSession] = await depsOver(here).redis.pipeline([
      ['HGETALL', await recordOf(apiKey)],
      ['HGETALL', recordKeys.session(owner.sessionId)],
    ])
    const policyIn = (record: unknown): Policy => JSON.parse((record as { p: string }).p)
    expect(policyIn(ofKey).keyId).toBe(keyId)
    expect(policyIn(ofSession).keyId).toBe(owner.sessionId)
    const text = JSON.stringify([ofKey, ofSession])
    for (const secret of [apiKey, owner.accessToken, owner.refreshToken]) expect(text).not.toContain(secret)
  })
})
