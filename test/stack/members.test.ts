import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import type { Role } from '../../src/core/roles.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let mailbox: Mailbox
let mail: FaultProxy

beforeAll(async () => {
  mailbox = await startMailbox({ port: 0, token: 'token-of-the-mailbox' })
  mail = await startFaultProxy(mailbox.url)
  stack = await startStack({
    vars: { MAIL_URL: `${mail.url}/emails`, MAIL_API_KEY: mailbox.token, MAIL_FROM: 'helix@helix.test' },
  })
})
afterAll(async () => {
  await stack?.close()
  await mail?.close()
  await mailbox?.close()
})

/** Of this file alone: what others do from other addresses takes nothing from its limits. */
const ip = '198.51.100.77'

type Answer = { status: number; body: Record<string, unknown> }

/** A call with an access token or a key, or without either. */
async function call(credential: string | undefined, route: string, body?: unknown): Promise<Answer> {
  const [method = 'GET', path = ''] = route.split(' ')
  const response = await fetch(`${stack.url}/api/v1${path}`, {
    method,
    headers: {
      'cf-connecting-ip': ip,
      ...(credential !== undefined && { authorization: `Bearer ${credential}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : z.record(z.string(), z.unknown()).parse(JSON.parse(text)) }
}

const as = ({ accessToken }: Person, route: string, body?: unknown) => call(accessToken, route, body)

/** Someone else in the same organisation. */
const fellow = ({ orgId }: Person, role: Role) => person(stack, { orgId, role })

const rowsOf = ({ body }: Answer) => z.array(z.looseObject({ id: z.string() })).parse(body.data)

const actionsOf = async ({ orgId }: Person) =>
  (await stack.query('select action from audit_log where org_id = $1 order by id', [orgId])).map(({ action }) => action)

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
    expect(await actionsOf(owner)).toContain('org.update')
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
    expect((await actionsOf(owner)).at(-1)).toBe('org.delete')
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
    expect(await actionsOf(owner)).toEqual(expect.arrayContaining(['member.leave']))
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

describe('invitations', () => {
  const Accepted = z.object({
    user: z.object({ id: z.string() }),
    org: z.object({ id: z.string() }),
    role: z.string(),
    access_token: z.string(),
  })
  let people = 0
  const freshAddress = () => `guest-${people++}-${Date.now()}@example.com`

  async function tokenFor(email: string): Promise<string> {
    const { text } = await mailbox.waitFor(email, { timeoutMs: 10_000 })
    return /hxi_[A-Za-z0-9_-]{43}/.exec(text)?.[0] ?? ''
  }

  const accept = (token: string, username: string, password: string) =>
    call(undefined, 'POST /invitations/accept', { token, username, password })

  const open = async (who: Person) => rowsOf(await as(who, 'GET /members/invitations'))

  it('bring somebody new in, and later the same account elsewhere', async () => {
    const [owner, other] = [await person(stack), await person(stack)]
    const email = freshAddress()
    const invited = await as(owner, 'POST /members/invite', { email: email.toUpperCase(), role: 'admin' })
    expect(invited).toMatchObject({ status: 201, body: { email, role: 'admin', invited_by: owner.userId } })
    expect(JSON.stringify(invited.body)).not.toMatch(/hxi_|hash/)
    const token = await tokenFor(email)
    const username = `guest${Date.now()}`
    const password = 'correct horse battery staple'
    for (const [name, secret] of [
      ['a@b', password],
      [username, 'short'],
    ] as const) {
      expect((await accept(token, name, secret)).status).toBe(422)
    }
    const joined = await accept(token, username, password)
    expect(joined).toMatchObject({ status: 201, body: { org: { id: owner.orgId }, role: 'admin' } })
    const { access_token: accessToken, user } = Accepted.parse(joined.body)
    expect((await call(accessToken, 'GET /members')).status).toBe(200)
    expect((await as(owner, `GET /users/${user.id}`)).body).toMatchObject({ username, email, email_verified: true })
    expect(await open(owner)).toEqual([])
    expect((await accept(token, `${username}2`, password)).status).toBe(404)
    expect((await as(owner, 'POST /members/invite', { email })).status).toBe(409)

    expect((await as(other, 'POST /members/invite', { email })).status).toBe(201)
    const second = await tokenFor(email)
    expect((await accept(second, 'another', password)).status).toBe(409)
    expect(await accept(second, username, 'not the password')).toMatchObject({
      status: 401,
      body: { code: 'invalid_credentials' },
    })
    const again = Accepted.parse((await accept(second, username, password)).body)
    expect(again).toMatchObject({ user: { id: user.id }, org: { id: other.orgId }, role: 'member' })
    expect(rowsOf(await call(again.access_token, 'GET /orgs'))).toHaveLength(2)
    expect(await actionsOf(owner)).toEqual(expect.arrayContaining(['invitation.create', 'member.join']))
  })

  it('of the same address follow one another, and are withdrawn or run out', async () => {
    const owner = await person(stack)
    const email = freshAddress()
    await as(owner, 'POST /members/invite', { email, role: 'member' })
    const first = await tokenFor(email)
    const { body } = await as(owner, 'POST /members/invite', { email, role: 'readonly' })
    expect(await open(owner)).toMatchObject([{ id: body.id, role: 'readonly' }])
    expect((await accept(first, 'whoever', 'correct horse battery')).status).toBe(404)
    const second = await tokenFor(email)
    await stack.query('update invitations set expires_at = 1 where id = $1', [body.id])
    expect((await accept(second, 'whoever', 'correct horse battery')).status).toBe(404)
    const stranger = await person(stack)
    expect((await as(stranger, `DELETE /members/invitations/${body.id}`)).status).toBe(404)
    expect((await as(owner, `DELETE /members/invitations/${body.id}`)).status).toBe(204)
    expect((await as(owner, `DELETE /members/invitations/${body.id}`)).status).toBe(404)
    expect(await open(owner)).toEqual([])
  })

  it('are made for no role above that of who invites, and end when that falls below', async () => {
    const owner = await person(stack)
    const admin = await fellow(owner, 'admin')
    expect((await as(admin, 'POST /members/invite', { email: freshAddress(), role: 'owner' })).status).toBe(403)
    const { body: high } = await as(owner, 'POST /members/invite', { email: freshAddress(), role: 'owner' })
    expect((await as(admin, `DELETE /members/invitations/${high.id}`)).status).toBe(403)
    await as(admin, 'POST /members/invite', { email: freshAddress(), role: 'admin' })
    const { body: low } = await as(admin, 'POST /members/invite', { email: freshAddress(), role: 'member' })
    await as(owner, `PATCH /members/${admin.userId}`, { role: 'member' })
    expect(await open(owner)).toMatchObject([{ id: low.id }, { id: high.id }])
    await as(owner, `DELETE /members/${admin.userId}`)
    expect(await open(owner)).toMatchObject([{ id: high.id }])
  })

  it('stop where the organisation is full', async () => {
    const owner = await person(stack)
    await as(owner, 'PATCH /org', { settings: { member_limit: 3 } })
    const emails = [freshAddress(), freshAddress(), freshAddress(), freshAddress()]
    const answers = await Promise.all(emails.map((email) => as(owner, 'POST /members/invite', { email })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409])
    const [kept] = await open(owner)
    expect((await as(owner, 'POST /members/invite', { email: kept?.email })).status).toBe(201)
  })

  it('leave nothing behind when their mail cannot be sent', async () => {
    const owner = await person(stack)
    const email = freshAddress()
    const { body } = await as(owner, 'POST /members/invite', { email, role: 'readonly' })
    mail.mode('refuse')
    expect((await as(owner, 'POST /members/invite', { email })).status).toBe(503)
    mail.mode('pass')
    expect(await open(owner)).toMatchObject([{ id: body.id, role: 'readonly' }])
  })

  it('take a username that is free', async () => {
    const owner = await person(stack)
    const email = freshAddress()
    await as(owner, 'POST /members/invite', { email })
    const answer = await accept(await tokenFor(email), owner.username, 'correct horse battery')
    expect(answer).toMatchObject({ status: 409, body: { code: 'conflict' } })
    expect(await open(owner)).toHaveLength(1)
  })
})
