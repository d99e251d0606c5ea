import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError, DependencyError } from '../../../src/core/errors.ts'
import type { Role } from '../../../src/core/roles.ts'
import { hashSecretToken } from '../../../src/core/secret-token.ts'
import {
  findSession,
  type NewSession,
  openSession,
  refreshSession,
  revokeSessions,
  scopesOfSession,
  sessionRecordsOf,
} from '../../../src/features/sessions/service.ts'
import { verifyAccessToken } from '../../../src/features/signing/service.ts'
import { type Isolate, isolate as isolateOver, START_MS, startWorld, type World } from './world.ts'

const DAY_MS = 24 * 3600 * 1000
const DAY = 86_400

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())

const isolate = () => isolateOver(world.db)

type Person = { userId: string; orgId: string }

const signIn = ({ ctx }: Isolate, { userId, orgId }: Person, given: Partial<NewSession> = {}) =>
  openSession(ctx, {
    userId,
    orgId,
    role: 'member',
    audience: 'helix',
    method: 'password',
    ip: '192.0.2.1',
    userAgent: 'a browser',
    ...given,
  })

async function claimsOf({ ctx }: Isolate, accessToken: string) {
  const claims = await verifyAccessToken(ctx, accessToken)
  if (!claims) throw new Error('the token is not good')
  return claims
}

/** A person with an open session. */
async function signedIn(at: Isolate, role: Role = 'member', given: Partial<NewSession> = {}) {
  const person = await world.person(role)
  const pair = await signIn(at, person, { role, ...given })
  const { sid } = await claimsOf(at, pair.access_token)
  const find = () => findSession(at.ctx, person.orgId, sid)
  return { ...person, pair, sid, find }
}

const refused = async (refreshing: Promise<unknown>) => {
  const error = await refreshing.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AppError)
  expect(error).toMatchObject({ code: 'invalid_credentials', status: 401 })
}

const auditOf = async ({ orgId }: Person) =>
  (await world.query('select * from audit_log where org_id = $1', [orgId])).map(
    ({ actor_kind: kind, actor_id: id, action, target_id: target, ip }) => [kind, id, action, target, ip],
  )

describe('opening a session', () => {
  it('gives a pair, of which only a hash is kept, and notes it in the audit log', async () => {
    const here = isolate()
    const { userId, orgId, pair, sid, find } = await signedIn(here, 'admin')
    expect(pair).toStrictEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 1800,
      refresh_token: expect.stringMatching(/^hxr_[\w-]{43}$/),
      refresh_expires_in: 30 * DAY,
    })
    expect(await claimsOf(here, pair.access_token)).toMatchObject({
      sub: userId,
      org: orgId,
      role: 'admin',
      scope: '*:* user',
      aud: 'helix',
    })
    const expiresAt = START_MS / 1000 + 90 * DAY
    expect(await find()).toEqual({
      id: sid,
      orgId,
      userId,
      audience: 'helix',
      role: 'admin',
      method: 'password',
      expiresAt,
    })
    const rows = await world.query('select * from refresh_tokens where session_id = $1', [sid])
    expect(rows.map((row) => row.token_hash)).toEqual([await hashSecretToken(pair.refresh_token)])
    expect(await auditOf({ userId, orgId })).toEqual([['user', userId, 'session.open', sid, '192.0.2.1']])
  })

  it('leaves nothing behind when Postgres is away', async () => {
    const here = isolate()
    const person = await world.person()
    here.away.postgres = true
    await expect(signIn(here, person)).rejects.toThrow(DependencyError)
    here.away.postgres = false
    await expect(signIn(here, { ...person, userId: 'usr_nobody' })).rejects.toThrow()
    expect(await sessionRecordsOf(here.ctx, person.orgId)).toEqual([])
    expect(await auditOf(person)).toEqual([])
  })

  it('ends those that were quiet the longest when a person has more than twenty', async () => {
    const here = isolate()
    const [first, second] = [await world.person(), await world.person()]
    const opened: string[] = []
    for (let at = 0; at < 22; at++) {
      here.clock.ms += 1000
      if (at === 20) await refreshSession(here.ctx, pairs[0]?.refresh_token ?? '')
      const pair = await signIn(here, first)
      pairs.push(pair)
      opened.push(`ses:${(await claimsOf(here, pair.access_token)).sid}`)
    }
    await signIn(here, second)
    expect((await sessionRecordsOf(here.ctx, first.orgId)).sort()).toEqual([opened[0], ...opened.slice(3)].sort())
    expect(here.marked).toEqual(opened.slice(1, 3))
    expect(await sessionRecordsOf(here.ctx, second.orgId)).toHaveLength(1)
  })
  const pairs: { refresh_token: string }[] = []

  it('ends none but its own, however often another issuer vouches for the person', async () => {
    const here = isolate()
    const own = await signedIn(here)
    for (let at = 0; at < 22; at++) {
      here.clock.ms += 1000
      await signIn(here, own, { method: 'oidc' })
    }
    expect(await own.find()).toBeDefined()
    expect(await sessionRecordsOf(here.ctx, own.orgId)).toHaveLength(21)
  })

  it('gives no more than another issuer allows', async () => {
    const here = isolate()
    const { pair, find } = await signedIn(here, 'admin', { method: 'oidc', maxRole: 'readonly' })
    expect(await claimsOf(here, pair.access_token)).toMatchObject({ role: 'readonly' })
    expect(await find()).toMatchObject({ role: 'readonly', method: 'oidc' })
    const again = await refreshSession(here.ctx, pair.refresh_token)
    expect(await claimsOf(here, again.access_token)).toMatchObject({ role: 'readonly' })
  })
})

describe('what a session may do', () => {
  it('are its role and its markers, and as an operator nothing of the organisation', () => {
    expect(scopesOfSession({ audience: 'helix', role: 'owner' })).toEqual(['*:*', 'user', 'owner'])
    expect(scopesOfSession({ audience: 'helix', role: 'admin' })).toEqual(['*:*', 'user'])
    expect(scopesOfSession({ audience: 'helix', role: 'readonly' })).toContain('chat:read')
    expect(scopesOfSession({ audience: 'helix', role: 'readonly' })).not.toContain('chat:write')
    expect(scopesOfSession({ audience: 'helix-admin', role: 'owner' })).toEqual(['user', 'operator'])
  })
})

describe('a refresh', () => {
  it('gives a new pair for the same session, with the role of now', async () => {
    const here = isolate()
    const { userId, sid, pair } = await signedIn(here, 'admin')
    await world.query("update memberships set role = 'readonly' where user_id = $1", [userId])
    here.clock.ms += 10 * DAY_MS
    const next = await refreshSession(here.ctx, pair.refresh_token)
    expect(next).toMatchObject({ token_type: 'bearer', expires_in: 1800, refresh_expires_in: 30 * DAY })
    expect(next.refresh_token).not.toBe(pair.refresh_token)
    expect(await claimsOf(here, next.access_token)).toMatchObject({ sid, role: 'readonly' })
    expect(here.taken).toEqual([`refreshes_per_session ${sid}`])
  })

  it('with a token that was used ends the session for everybody', async () => {
    const here = isolate()
    const person = await signedIn(here)
    const next = await refreshSession(here.ctx, person.pair.refresh_token)
    await refused(refreshSession(here.ctx, person.pair.refresh_token))
    await refused(refreshSession(here.ctx, next.refresh_token))
    expect(await person.find()).toBeUndefined()
    expect(here.marked).toEqual([`ses:${person.sid}`])
    expect(await auditOf(person)).toContainEqual(['anonymous', null, 'session.reuse', person.sid, null])
    const lines = here.lines.filter(({ level }) => level === 'warn')
    expect(lines.map(({ event, facts }) => [event, facts.session_id])).toEqual([['refresh_token_reused', person.sid]])
    expect(JSON.stringify(here.lines)).not.toContain('hxr_')
  })

  it('may wait thirty days, again and again until the ninetieth', async () => {
    const here = isolate()
    const { pair } = await signedIn(here)
    let token = pair.refresh_token
    const step = async (days: number) => {
      here.clock.ms += days * DAY_MS
      const next = await refreshSession(here.ctx, token)
      token = next.refresh_token
      return next.refresh_expires_in / DAY
    }
    expect([await step(29), await step(29), await step(29)]).toEqual([30, 30, 3])
    here.clock.ms += 3 * DAY_MS
    await refused(refreshSession(here.ctx, token))
    const idle = await signedIn(here)
    here.clock.ms += 30 * DAY_MS
    await refused(refreshSession(here.ctx, idle.pair.refresh_token))
  })

  const fates: [string, string, Role | undefined][] = [
    ['was deactivated', 'update users set is_active = false where id = $1', undefined],
    ['is no member any more', 'delete from memberships where user_id = $1', undefined],
    ['is an inactive member', 'update memberships set is_active = false where user_id = $1', undefined],
    [
      'has a suspended organisation',
      "update orgs set status = 'suspended' where id = (select org_id from memberships where user_id = $1)",
      undefined,
    ],
    [
      'has a deleted organisation',
      'update orgs set deleted_at = 1 where id = (select org_id from memberships where user_id = $1)',
      undefined,
    ],
  ]
  it.each(fates)('is refused to somebody who %s, and their session is not found', async (_fate, statement) => {
    const here = isolate()
    const { userId, pair, find } = await signedIn(here)
    expect(await find()).toBeDefined()
    await world.query(statement, [userId])
    expect(await find()).toBeUndefined()
    await refused(refreshSession(here.ctx, pair.refresh_token))
  })

  it('of an operator ends with the office', async () => {
    const here = isolate()
    const person = await world.person('owner')
    await world.query('update users set is_operator = true where id = $1', [person.userId])
    const pair = await signIn(here, person, { role: 'owner', audience: 'helix-admin' })
    const { sid, aud, scope } = await claimsOf(here, pair.access_token)
    expect([aud, scope]).toEqual(['helix-admin', 'user operator'])
    expect(await findSession(here.ctx, person.orgId, sid)).toMatchObject({ audience: 'helix-admin' })
    expect((await auditOf(person)).map(([kind]) => kind)).toEqual(['operator'])
    const next = await refreshSession(here.ctx, pair.refresh_token)
    await world.query('update users set is_operator = false where id = $1', [person.userId])
    expect(await findSession(here.ctx, person.orgId, sid)).toBeUndefined()
    await refused(refreshSession(here.ctx, next.refresh_token))
  })

  it('is refused alike for everything that is no refresh token', async () => {
    const here = isolate()
    const { pair } = await signedIn(here)
    const { refresh_token: good } = pair
    const before = here.asked()
    const texts = ['', 'hxr_', good.slice(0, -1), `${good}A`, ` ${good}`, `${good}\n`, good.replace('hxr', 'hxi')]
    for (const text of [...texts, pair.access_token, "hxr_' or ''='", 'x'.repeat(100_000)]) {
      await refused(refreshSession(here.ctx, text))
    }
    expect(here.asked()).toBe(before)
    await refused(refreshSession(here.ctx, `hxr_${'A'.repeat(43)}`))
    expect(await refreshSession(here.ctx, good)).toBeDefined()
  })

  it('is 503 while Postgres or Redis is away, and the token is still good afterwards', async () => {
    const here = isolate()
    const { pair } = await signedIn(here)
    for (const store of ['postgres', 'redis'] as const) {
      here.away[store] = true
      await expect(refreshSession(here.ctx, pair.refresh_token)).rejects.toMatchObject({ dependency: store })
      here.away[store] = false
    }
    expect(await refreshSession(here.ctx, pair.refresh_token)).toBeDefined()
  })

  it('is limited for each session, and a refusal uses nothing up', async () => {
    const here = isolate()
    const { pair } = await signedIn(here)
    const take = async () => ({ allowed: false, retryAfterSeconds: 7 })
    const ctx = { ...here.ctx, limiter: { ...here.ctx.limiter, take } }
    await expect(refreshSession(ctx, pair.refresh_token)).rejects.toMatchObject({
      code: 'rate_limit_exceeded',
      retryAfterSeconds: 7,
    })
    expect(await refreshSession(here.ctx, pair.refresh_token)).toBeDefined()
  })
})

describe('ending sessions', () => {
  it('ends one, all but one, or all of a person, and nobody else', async () => {
    const here = isolate()
    const [person, other] = [await world.person(), await signedIn(here)]
    const sids: string[] = []
    for (let at = 0; at < 4; at++) {
      sids.push((await claimsOf(here, (await signIn(here, person)).access_token)).sid)
    }
    const [first = '', second = ''] = sids
    const { userId } = person
    expect(await revokeSessions(here.ctx, { userId: other.userId, onlyId: first })).toEqual([])
    expect(await revokeSessions(here.ctx, { userId, onlyId: first })).toEqual([first])
    expect(await revokeSessions(here.ctx, { userId, onlyId: first })).toEqual([])
    expect((await revokeSessions(here.ctx, { userId, exceptId: second })).sort()).toEqual(sids.slice(2).sort())
    expect(await sessionRecordsOf(here.ctx, person.orgId, userId)).toEqual([`ses:${second}`])
    expect(await revokeSessions(here.ctx, { userId })).toEqual([second])
    expect(here.marked.sort()).toEqual(sids.map((id) => `ses:${id}`).sort())
    expect(await findSession(here.ctx, person.orgId, second)).toBeUndefined()
    expect(await other.find()).toBeDefined()
  })

  it('is seen only by those who name the right organisation', async () => {
    const here = isolate()
    const [mine, theirs] = [await signedIn(here), await signedIn(here)]
    expect(await findSession(here.ctx, theirs.orgId, mine.sid)).toBeUndefined()
    expect(await sessionRecordsOf(here.ctx, theirs.orgId, mine.userId)).toEqual([])
    expect(await sessionRecordsOf(here.ctx, mine.orgId)).toEqual([`ses:${mine.sid}`])
  })

  it('happens by itself after ninety days', async () => {
    const here = isolate()
    const { orgId, find } = await signedIn(here)
    here.clock.ms += 90 * DAY_MS - 1000
    expect(await find()).toBeDefined()
    here.clock.ms += 1000
    expect(await find()).toBeUndefined()
    expect(await sessionRecordsOf(here.ctx, orgId)).toEqual([])
  })
})
