import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Role } from '../../src/core/roles.ts'
import { actionsOf, keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { callApi, fellowOf, rowsOf } from './members-kit.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack?.close())

const call = (credential: string | undefined, route: string, body?: unknown) =>
  callApi(stack, credential, { route, body })
const as = ({ accessToken }: Person, route: string, body?: unknown) => call(accessToken, route, body)
const fellow = (someone: Person, role: Role) => fellowOf(stack, someone, role)

const nobody = 'usr_01234567890123456789012345'

describe('an organisation', () => {
  it('is read and changed, and says what it does not know', async () => {
    const owner = await person(stack)
    expect((await as(owner, 'GET /org')).body).toMatchObject({ id: owner.orgId, name: 'A test', settings: {} })
    const changed = await as(owner, 'PATCH /org', { name: ' New ', settings: { member_limit: 7 } })
    expect(changed).toMatchObject({ status: 200, body: { name: 'New', settings: { member_limit: 7 } } })
    expect((await as(owner, 'PATCH /org', { settings: {} })).body).toMatchObject({ settings: { member_limit: 7 } })
    expect((await as(owner, 'PATCH /org', { settings: { member_limit: null } })).body).toMatchObject({ settings: {} })
    for (const body of [{ plan: 'premium' }, { status: 'active' }, { settings: { theme: 'dark' } }, { name: ' ' }]) {
      expect((await as(owner, 'PATCH /org', body)).status).toBe(422)
    }
    expect(await actionsOf(stack, owner.orgId)).toContain('org.update')
  })

  it('is deleted by an owner who names it, and everything in it ends at once', async () => {
    const owner = await person(stack)
    const admin = await fellow(owner, 'admin')
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: owner.userId })
    const { slug } = (await as(owner, 'GET /org')).body
    expect((await call(apiKey, 'GET /org')).status).toBe(200)
    for (const credential of [admin.accessToken, apiKey]) {
      expect((await call(credential, `DELETE /org?confirm=${slug}`)).status).toBe(403)
    }
    expect((await as(owner, 'DELETE /org')).status).toBe(422)
    expect((await as(owner, 'DELETE /org?confirm=another')).status).toBe(422)
    expect((await as(owner, `DELETE /org?confirm=${slug}`)).status).toBe(204)
    for (const credential of [owner.accessToken, admin.accessToken, apiKey]) {
      expect((await call(credential, 'GET /org')).status).toBe(401)
    }
    expect((await actionsOf(stack, owner.orgId)).at(-1)).toBe('org.delete')
  })

  it('is made by anyone who is signed in, who then owns it', async () => {
    const owner = await person(stack)
    const made = await as(owner, 'POST /orgs', { name: 'Zweite Küche' })
    expect(made).toMatchObject({ status: 201, body: { name: 'Zweite Küche', plan: 'free' } })
    expect(made.body.slug).toMatch(/^zweite-kuche-[0-9a-z]{6}$/)
    const own = await as(owner, 'GET /orgs')
    expect(rowsOf(own)).toMatchObject([
      { id: owner.orgId, role: 'owner' },
      { id: made.body.id, role: 'owner' },
    ])
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: owner.userId })
    expect((await call(apiKey, 'POST /orgs', { name: 'By a key' })).status).toBe(403)
  })

  it('is the only one for a session of another issuer', async () => {
    const owner = await person(stack)
    await as(owner, 'POST /orgs', { name: 'Second' })
    await stack.query("update login_sessions set method = 'oidc' where id = $1", [owner.sessionId])
    expect((await as(owner, 'POST /orgs', { name: 'Third' })).status).toBe(403)
    expect(rowsOf(await as(owner, 'GET /orgs'))).toMatchObject([{ id: owner.orgId }])
  })
})

describe('members', () => {
  it('are listed page by page, as members and as people', async () => {
    const owner = await person(stack)
    const member = await fellow(owner, 'member')
    const reader = await fellow(owner, 'readonly')
    const first = await as(owner, 'GET /members?limit=2')
    expect(first.body).toMatchObject({ has_more: true, last_id: member.userId })
    expect(rowsOf(first)).toMatchObject([
      { id: reader.userId, role: 'readonly', email: reader.email, is_active: true },
      { id: member.userId, role: 'member' },
    ])
    expect(rowsOf(await as(owner, `GET /members?after=${member.userId}`))).toMatchObject([{ id: owner.userId }])
    expect(rowsOf(await as(owner, 'GET /users?order=asc')).map(({ id }) => id)).toEqual([
      owner.userId,
      member.userId,
      reader.userId,
    ])
    expect((await as(owner, `GET /users/${member.userId}`)).body).toMatchObject({
      email_verified: true,
      role: 'member',
    })
    expect((await as(member, 'GET /members')).status).toBe(403)
  })

  it('of another organisation do not exist', async () => {
    const [owner, stranger] = [await person(stack), await person(stack)]
    for (const id of [stranger.userId, nobody, 'usr_1', 'me.']) {
      expect((await as(owner, `GET /users/${id}`)).status).toBe(404)
      expect((await as(owner, `PATCH /users/${id}`, { is_active: false })).status).toBe(404)
      expect((await as(owner, `PATCH /members/${id}`, { role: 'readonly' })).status).toBe(404)
      expect((await as(owner, `DELETE /members/${id}`)).status).toBe(404)
    }
    expect((await as(stranger, 'GET /org')).status).toBe(200)
  })

  it('are changed by nobody below them, and get no role above that of who gives it', async () => {
    const owner = await person(stack)
    const [admin, member] = [await fellow(owner, 'admin'), await fellow(owner, 'member')]
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: owner.userId })
    for (const credential of [admin.accessToken, apiKey]) {
      expect((await call(credential, `PATCH /members/${member.userId}`, { role: 'owner' })).status).toBe(403)
      expect((await call(credential, `PATCH /members/${owner.userId}`, { role: 'member' })).status).toBe(403)
      expect((await call(credential, `DELETE /members/${owner.userId}`)).status).toBe(403)
      expect((await call(credential, `PATCH /users/${owner.userId}`, { is_active: false })).status).toBe(403)
      expect((await call(credential, `PATCH /members/${member.userId}`, { role: 'admin' })).status).toBe(200)
      expect((await call(credential, `PATCH /members/${member.userId}`, { role: 'member' })).status).toBe(200)
    }
    expect((await as(owner, `PATCH /members/${member.userId}`, { role: 'owner' })).status).toBe(200)
    for (const body of [{ role: 'king' }, { role: 'member', org_id: owner.orgId }, {}]) {
      expect((await as(owner, `PATCH /members/${member.userId}`, body)).status).toBe(422)
    }
  })

  it('get nothing from a key that the key itself does not hold', async () => {
    const owner = await person(stack)
    const member = await fellow(owner, 'member')
    const { orgId, userId } = owner
    const { apiKey } = await keyOf(stack, { orgId, userId, scopes: ['members:write'] })
    for (const role of ['admin', 'member', 'readonly']) {
      const invited = { email: `${crypto.randomUUID()}@example.com`, role }
      expect((await call(apiKey, 'POST /members/invite', invited)).status).toBe(403)
      expect((await call(apiKey, `PATCH /members/${member.userId}`, { role })).status).toBe(403)
    }
    expect((await call(apiKey, `DELETE /members/${member.userId}`)).status).toBe(204)
  })

  it('feel a demotion on the next call, signed in and with their keys', async () => {
    const owner = await person(stack)
    const admin = await fellow(owner, 'admin')
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: admin.userId })
    const credentials = [admin.accessToken, apiKey]
    for (const credential of credentials) expect((await call(credential, 'GET /members')).status).toBe(200)
    const demoted = await as(owner, `PATCH /members/${admin.userId}`, { role: 'member' })
    expect(demoted).toMatchObject({ status: 200, body: { id: admin.userId, role: 'member' } })
    for (const credential of credentials) expect((await call(credential, 'GET /members')).status).toBe(403)
    await as(owner, `PATCH /members/${admin.userId}`, { role: 'admin' })
    for (const credential of credentials) expect((await call(credential, 'GET /members')).status).toBe(200)
    const [row] = await stack.query("select * from audit_log where org_id = $1 and action = 'member.role' limit 1", [
      owner.orgId,
    ])
    expect(row).toMatchObject({
      actor_id: owner.userId,
      target_id: admin.userId,
      details: { before: { role: 'admin' }, after: { role: 'member' } },
    })
  })

  it.each([
    ['removed', 'DELETE /members/', undefined, 204, 404],
    ['deactivated', 'PATCH /users/', { is_active: false }, 200, 200],
  ])('lose their sessions and keys here when they are %s', async (_what, route, body, status, after) => {
    const owner = await person(stack)
    const member = await fellow(owner, 'member')
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: member.userId })
    const elsewhere = await keyOf(stack, { orgId: (await person(stack)).orgId })
    const credentials = [member.accessToken, apiKey]
    for (const credential of credentials) expect((await call(credential, 'GET /keys')).status).toBe(200)
    expect((await as(owner, `${route}${member.userId}`, body)).status).toBe(status)
    for (const credential of credentials) expect((await call(credential, 'GET /keys')).status).toBe(401)
    expect((await call(elsewhere.apiKey, 'GET /keys')).status).toBe(200)
    expect((await as(owner, `GET /users/${member.userId}`)).status).toBe(after)
    const [{ alive } = {}] = await stack.query(
      `select (select count(*) from login_sessions where user_id = $1 and revoked_at is null) +
         (select count(*) from api_keys where user_id = $1 and revoked_at is null) as alive`,
      [member.userId],
    )
    expect(Number(alive)).toBe(0)
  })

  it('come back after a deactivation, to sign in anew', async () => {
    const owner = await person(stack)
    const member = await fellow(owner, 'member')
    await as(owner, `PATCH /users/${member.userId}`, { is_active: false })
    const back = await as(owner, `PATCH /users/${member.userId}`, { is_active: true })
    expect(back.body).toMatchObject({ id: member.userId, is_active: true })
    expect((await as(member, 'GET /orgs')).status).toBe(401)
  })

  it('leave when they like, unless they are the last owner', async () => {
    const owner = await person(stack)
    const reader = await fellow(owner, 'readonly')
    expect((await as(reader, 'DELETE /members/me')).status).toBe(204)
    expect((await as(reader, 'GET /orgs')).status).toBe(401)
    for (const [route, body] of [
      ['DELETE /members/me'],
      [`DELETE /members/${owner.userId}`],
      [`PATCH /members/${owner.userId}`, { role: 'admin' }],
      [`PATCH /users/${owner.userId}`, { is_active: false }],
    ] as const) {
      expect(await as(owner, route, body)).toMatchObject({ status: 409, body: { code: 'conflict' } })
    }
    expect((await as(owner, 'GET /org')).status).toBe(200)
    expect(await actionsOf(stack, owner.orgId)).toEqual(expect.arrayContaining(['member.leave']))
  })

  it('keep an owner when two owners demote each other at the same time', async () => {
    for (let round = 0; round < 3; round++) {
      const first = await person(stack)
      const second = await fellow(first, 'owner')
      const answers = await Promise.all([
        as(first, `PATCH /members/${second.userId}`, { role: 'member' }),
        as(second, `PATCH /members/${first.userId}`, { role: 'member' }),
      ])
      const [won, lost] = answers.map(({ status }) => status).sort()
      expect(won).toBe(200)
      // Whoever comes after the other's demotion may not do it any more.
      expect([403, 409]).toContain(lost)
    }
  })
})
