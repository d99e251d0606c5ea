import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/core/context.ts'
import { createMemory } from '../../src/core/memory.ts'
import { exchangeToken } from '../../src/features/oidc/service.ts'
import { API, type Issuer, startIssuer } from '../features/oidc/issuer.ts'
import { keptLog } from '../support/fake-deps.ts'
import { actionsOf, depsOver, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { bodyFor, exchange, exchanged, me, membersOf, providers, trusting } from './oidc-kit.ts'

let stack: Stack
let issuer: Issuer
let other: Issuer

beforeAll(async () => {
  ;[issuer, other] = await Promise.all([startIssuer(), startIssuer()])
  stack = await startStack({ vars: { OUTBOUND_TEST_ORIGINS: `${issuer.url},${other.url}` } })
})
afterAll(() => Promise.all([stack?.close(), issuer?.close(), other?.close()]))

let people = 0
/** An account at the issuer that no other test has. */
function account(claims: Record<string, unknown> = {}): string {
  people += 1
  const name = `person-${people}-${process.pid}`
  issuer.accounts.set(name, {
    email: `${name}@corp.example`,
    email_verified: true,
    preferred_username: name,
    ...claims,
  })
  return name
}

const refused = { status: 401, body: { code: 'invalid_credentials', detail: 'This token is not accepted.' } }

/** A request of this process over the same stores, with something of its own. */
const ctxWith = (own: Partial<Deps>) => ({
  ...depsOver(stack),
  ...own,
  requestId: 'req_1',
  signal: AbortSignal.timeout(60_000),
  startedMs: 0,
  defer: () => {},
})

describe('the exchange of an ID token', () => {
  it('makes a member of somebody new, and finds them again', async () => {
    const { orgId } = await trusting(stack, issuer, { claim_map: { role: 'groups' }, role_map: { staff: 'member' } })
    const name = account({ groups: ['staff', 'lunch'] })
    const first = await exchanged(stack, await issuer.idToken(name), orgId)
    expect(first).toMatchObject({ org: orgId, role: 'member', aud: 'helix' })
    expect(await membersOf(stack, orgId)).toEqual([
      { username: name, email: `${name}@corp.example`, verified: true, password_hash: null, role: 'member' },
    ])
    const answer = await me(stack, first.accessToken)
    expect(await answer.json()).toMatchObject({ id: first.sub, username: name, role: 'member' })
    const second = await exchanged(stack, await issuer.idToken(name), orgId)
    expect(second.sub).toBe(first.sub)
    expect(second.sid).not.toBe(first.sid)
    expect(
      await stack.query('select method, max_role, user_agent from login_sessions where id = $1', [first.sid]),
    ).toEqual([{ method: 'oidc', max_role: 'member', user_agent: 'a test' }])
    expect((await actionsOf(stack, orgId)).slice(2)).toEqual(['oidc.create', 'session.exchange', 'session.exchange'])
  })

  it('makes one person of a subject that comes many times at once', async () => {
    const { orgId } = await trusting(stack, issuer)
    const token = await issuer.idToken(account())
    const all = await Promise.all(Array.from({ length: 5 }, () => exchanged(stack, token, orgId)))
    expect(new Set(all.map(({ sub }) => sub)).size).toBe(1)
    expect(await membersOf(stack, orgId)).toHaveLength(1)
  })

  it('gives the role that the token says today, and no more than the membership', async () => {
    const { orgId } = await trusting(stack, issuer, {
      claim_map: { role: 'groups' },
      role_map: { staff: 'member', leads: 'admin' },
    })
    const name = account({ groups: 'staff' })
    const groups = (value: unknown) => issuer.accounts.set(name, { ...issuer.accounts.get(name), groups: value })
    const { sub } = await exchanged(stack, await issuer.idToken(name), orgId)
    groups('nobody')
    expect(await exchanged(stack, await issuer.idToken(name), orgId)).toMatchObject({ sub, role: 'readonly' })
    groups('leads')
    expect(await exchanged(stack, await issuer.idToken(name), orgId)).toMatchObject({ sub, role: 'member' })
    await stack.query('update memberships set role = $1 where org_id = $2 and user_id = $3', ['owner', orgId, sub])
    expect(await exchanged(stack, await issuer.idToken(name), orgId)).toMatchObject({ sub, role: 'admin' })
  })

  it('finds another name where the issuer gives one that is taken', async () => {
    const { orgId } = await trusting(stack, issuer)
    const taken = await person(stack)
    const name = account({ preferred_username: taken.username })
    await exchanged(stack, await issuer.idToken(name), orgId)
    expect(await membersOf(stack, orgId)).toMatchObject([
      { username: expect.stringMatching(`^${taken.username}-[0-9a-f]{6}$`) },
    ])
  })

  it('does not let anybody in without auto_create, nor beyond the limit of members', async () => {
    await trusting(stack, issuer, { auto_create: false, audiences: ['closed'] })
    expect(await exchange(stack, await issuer.sign({ aud: 'closed' }))).toMatchObject(refused)
    const { orgId } = await trusting(stack, issuer, { audiences: ['small'] })
    await stack.query(`update orgs set settings = '{"member_limit": 1}' where id = $1`, [orgId])
    expect(await exchange(stack, await issuer.sign({ aud: 'small' }))).toMatchObject(refused)
  })

  it('does not let in again whom the organisation removed or deactivated', async () => {
    const { orgId } = await trusting(stack, issuer)
    const name = account()
    const { sub } = await exchanged(stack, await issuer.idToken(name), orgId)
    await stack.query('update memberships set is_active = false where user_id = $1', [sub])
    expect(await exchange(stack, await issuer.idToken(name), orgId)).toMatchObject(refused)
    await stack.query('delete from memberships where user_id = $1', [sub])
    expect(await exchange(stack, await issuer.idToken(name), orgId)).toMatchObject(refused)
    expect(await membersOf(stack, orgId)).toEqual([])
  })
})

describe('an address', () => {
  it('leads to a member who has it, when both sides have verified it', async () => {
    const { orgId } = await trusting(stack, issuer, { default_role: 'member' })
    const member = await person(stack, { orgId, role: 'admin' })
    const name = account({ email: member.email.toUpperCase() })
    const linked = await exchanged(stack, await issuer.idToken(name), orgId)
    expect(linked).toMatchObject({ sub: member.userId, role: 'member' })
    expect(await actionsOf(stack, orgId)).toContain('oidc.link')
    issuer.accounts.set(name, { email: 'changed@corp.example', email_verified: false })
    expect(await exchanged(stack, await issuer.idToken(name), orgId)).toMatchObject({ sub: member.userId })
  })

  it('leads to nobody when either side has not verified it, or when the member comes as somebody else already', async () => {
    const { orgId } = await trusting(stack, issuer)
    const member = await person(stack, { orgId, role: 'member' })
    for (const email_verified of [false, 'true', undefined]) {
      const token = await issuer.idToken(account({ email: member.email, email_verified }))
      expect(await exchange(stack, token, orgId)).toMatchObject(refused)
    }
    await stack.query('update users set email_verified_at = null where id = $1', [member.userId])
    expect(await exchange(stack, await issuer.idToken(account({ email: member.email })), orgId)).toMatchObject(refused)
    await stack.query('update users set email_verified_at = 1 where id = $1', [member.userId])
    await exchanged(stack, await issuer.idToken(account({ email: member.email })), orgId)
    expect(await exchange(stack, await issuer.idToken(account({ email: member.email })), orgId)).toMatchObject(refused)
  })

  it('of an owner leads to nobody through an issuer that an admin configured', async () => {
    const { owner, orgId, id } = await trusting(stack, issuer)
    const name = account({ email: owner.email })
    expect(await exchanged(stack, await issuer.idToken(name), orgId)).toMatchObject({ sub: owner.userId })
    const admin = await person(stack, { orgId, role: 'admin' })
    const put = { method: 'PUT', path: `/${id}`, body: bodyFor(issuer) }
    expect(await providers(stack, admin.accessToken, put)).toMatchObject({ status: 200 })
    expect(await exchange(stack, await issuer.idToken(name), orgId)).toMatchObject(refused)
    const second = await person(stack, { orgId })
    expect(await exchange(stack, await issuer.idToken(account({ email: second.email })), orgId)).toMatchObject(refused)
    const member = await person(stack, { orgId, role: 'member' })
    await exchanged(stack, await issuer.idToken(account({ email: member.email })), orgId)
  })

  it('of somebody in another organisation is refused, however verified: nobody is taken over', async () => {
    const victim = await person(stack)
    const { orgId } = await trusting(stack, issuer)
    for (const email of [victim.email, victim.email.toUpperCase()]) {
      expect(await exchange(stack, await issuer.idToken(account({ email })), orgId)).toMatchObject(refused)
    }
    expect(await membersOf(stack, orgId)).toEqual([])
    const sessions = await stack.query('select org_id from login_sessions where user_id = $1', [victim.userId])
    expect(sessions).toEqual([{ org_id: victim.orgId }])
  })
})

describe('an issuer', () => {
  it('that two organisations trust asks for the organisation, and makes a person in each', async () => {
    const [one, two] = await Promise.all(
      [0, 1].map(() => trusting(stack, issuer, { audiences: ['shared'], claim_map: { email: 'none' } })),
    )
    const token = await issuer.sign({ aud: 'shared', sub: 'both' })
    expect(await exchange(stack, token)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', detail: expect.stringContaining('org_id') },
    })
    const first = await exchanged(stack, token, one?.orgId)
    const second = await exchanged(stack, token, two?.orgId)
    expect([first.org, second.org]).toEqual([one?.orgId, two?.orgId])
    expect(first.sub).not.toBe(second.sub)
    expect(await exchange(stack, token, 'org_nobody')).toMatchObject(refused)
  })

  it('that two organisations trust needs no name where the audience or a condition tells', async () => {
    await trusting(stack, issuer, { audiences: ['other-org'] })
    const mine = await trusting(stack, issuer, { audiences: ['my-org'] })
    expect(await exchanged(stack, await issuer.sign({ aud: 'my-org', sub: 'x' }))).toMatchObject({ org: mine.orgId })
    const acme = await trusting(stack, issuer, { audiences: ['ci'], required_claims: { owner: 'acme' } })
    await trusting(stack, issuer, { audiences: ['ci'], required_claims: { owner: 'evil' } })
    const token = await issuer.sign({ aud: 'ci', sub: 'job', owner: 'acme' })
    expect(await exchanged(stack, token)).toMatchObject({ org: acme.orgId })
    expect(await exchange(stack, await issuer.sign({ aud: 'ci', sub: 'job', owner: 'else' }))).toMatchObject(refused)
  })

  it('that cannot be reached is 503, for its own tokens only', async () => {
    const { orgId } = await trusting(stack, other)
    other.away(true)
    expect(await exchange(stack, await other.sign({}), orgId)).toMatchObject({
      status: 503,
      body: { code: 'dependency_unavailable' },
    })
    const { orgId: reached } = await trusting(stack, issuer)
    await exchanged(stack, await issuer.idToken(account()), reached)
  })

  it('ends the sessions that it opened when it is changed or deleted, and no others', async () => {
    const { owner, orgId, id } = await trusting(stack, issuer)
    const open = async () => exchanged(stack, await issuer.idToken(account()), orgId)
    const changed = await open()
    expect((await me(stack, changed.accessToken)).status).toBe(200)
    const put = { method: 'PUT', path: `/${id}`, body: bodyFor(issuer, { default_role: 'member' }) }
    expect(await providers(stack, owner.accessToken, put)).toMatchObject({ status: 200 })
    expect((await me(stack, changed.accessToken)).status).toBe(401)
    const deleted = await open()
    expect((await me(stack, deleted.accessToken)).status).toBe(200)
    expect(await providers(stack, owner.accessToken, { method: 'DELETE', path: `/${id}` })).toMatchObject({
      status: 204,
    })
    expect((await me(stack, deleted.accessToken)).status).toBe(401)
    expect((await me(stack, owner.accessToken)).status).toBe(200)
    expect(await exchange(stack, await issuer.idToken(account()), orgId)).toMatchObject(refused)
  })

  it('forgets whom it knew when another issuer takes its place, who may call others the same', async () => {
    const { owner, orgId, id } = await trusting(stack, issuer)
    await exchanged(stack, await issuer.idToken(account()), orgId)
    const known = () => stack.query('select subject from oidc_identities where provider_id = $1', [id])
    const put = (url: string) => ({ method: 'PUT', path: `/${id}`, body: bodyFor({ url }, { name: 'New' }) })
    expect(await providers(stack, owner.accessToken, put(issuer.url))).toMatchObject({ status: 200 })
    expect(await known()).toHaveLength(1)
    expect(await providers(stack, owner.accessToken, put('https://issuer.example.com'))).toMatchObject({ status: 200 })
    expect(await known()).toEqual([])
  })

  it('that is deleted while its token is looked at opens no session', async () => {
    const { orgId, id } = await trusting(stack, issuer)
    const real = depsOver(stack).outbound
    const ctx = ctxWith({
      memory: createMemory(),
      outbound: async (request) => {
        await stack.query('update oidc_providers set deleted_at = 1 where id = $1', [id])
        return real(request)
      },
    })
    const request = { subjectToken: await issuer.idToken(account()), orgId, ip: `late ${orgId}`, userAgent: null }
    await expect(exchangeToken(ctx, request)).rejects.toMatchObject({ cause: 'provider_changed' })
    const sessions = await stack.query(
      `select revoked_at is null as live from login_sessions where org_id = $1 and method = 'oidc'`,
      [orgId],
    )
    expect(sessions).toEqual([{ live: false }])
  })
})

describe('a workload', () => {
  it('signs in by the token of its job, if it meets the conditions', async () => {
    const { orgId } = await trusting(stack, issuer, {
      client_id: null,
      audiences: [API],
      required_claims: { repository: 'acme/app', ref: 'refs/heads/*' },
      default_role: 'member',
    })
    Object.assign(issuer.workload, { repository: 'acme/app', ref: 'refs/heads/main' })
    const { role, accessToken } = await exchanged(stack, await issuer.accessToken())
    expect(role).toBe('member')
    expect(await membersOf(stack, orgId)).toEqual([
      {
        username: expect.stringMatching(/^ci-[0-9a-f]{12}$/),
        email: expect.stringMatching(/^usr_\w+@workload\.invalid$/),
        verified: false,
        password_hash: null,
        role: 'member',
      },
    ])
    expect((await stack.call(accessToken, '/v1/models')).status).toBe(200)
    Object.assign(issuer.workload, { repository: 'evil/app' })
    expect(await exchange(stack, await issuer.accessToken())).toMatchObject(refused)
  })
})

describe('a refusal', () => {
  it('says the same of whatever is wrong, and tells the log why without the token', async () => {
    const { orgId, id } = await trusting(stack, issuer)
    const good = await issuer.sign({})
    const [header, payload] = good.split('.')
    const wrong = {
      malformed: 'x.y.z',
      unknown_issuer: await issuer.sign({ iss: 'https://nobody.example.net' }),
      wrong_audience: await issuer.sign({ aud: 'else' }),
      expired: await issuer.sign({ iat: 1, exp: 2 }),
      bad_signature: `${header}.${payload}.${'A'.repeat(342)}`,
      wrong_algorithm: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.AA`,
    }
    const { log, lines } = keptLog()
    const bodies = []
    for (const [reason, token] of Object.entries(wrong)) {
      const { status, body } = await exchange(stack, token, orgId)
      bodies.push({ status, ...Object(body), instance: undefined, request_id: undefined })
      const request = { subjectToken: token, orgId, ip: `log of ${reason} ${orgId}`, userAgent: null }
      await expect(exchangeToken(ctxWith({ log }), request)).rejects.toMatchObject({ code: 'invalid_credentials' })
      expect(lines.at(-1)).toMatchObject({ level: 'warn', event: 'oidc_refused', facts: { reason } })
      expect(JSON.stringify(lines)).not.toContain(token)
    }
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1)
    expect(bodies[0]).toMatchObject({ status: 401, code: 'invalid_credentials' })
    expect(lines.map(({ facts }) => facts.provider_id)).toContain(id)
  })

  it('is none while a store is away: then it is 503', async () => {
    const { orgId } = await trusting(stack, issuer)
    const token = await issuer.idToken(account())
    for (const store of [stack.redis, stack.postgres]) {
      store.mode('refuse')
      expect(await exchange(stack, token, orgId)).toMatchObject({ status: 503 })
      store.mode('pass')
    }
    await exchanged(stack, token, orgId)
  })
})
