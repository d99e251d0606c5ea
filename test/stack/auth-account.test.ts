import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import { hashSecretToken } from '../../src/core/secret-token.ts'
import { openSession } from '../../src/features/sessions/service.ts'
import { actionsOf, claimsOf, depsOver, keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { anotherSession, auth, joins, newAddress, PASSWORD, Pair, problemOf, type Sent, someone } from './auth-kit.ts'

let stack: Stack
let mailbox: Mailbox

beforeAll(async () => {
  mailbox = await startMailbox({ port: 0, token: 'token-of-the-mailbox' })
  const mail = {
    MAIL_URL: `${mailbox.url}/emails`,
    MAIL_API_KEY: mailbox.token,
    MAIL_FROM: 'Helix <helix@example.com>',
  }
  stack = await startStack({ vars: mail })
})
afterAll(async () => {
  await stack?.close()
  await mailbox?.close()
})

const SignedUp = Pair.extend({
  user: z.object({ id: z.string(), username: z.string(), email: z.string(), email_verified: z.boolean() }),
  org: z.object({ id: z.string(), name: z.string() }),
  role: z.string(),
})

const newName = () => `u${randomUUID().slice(0, 12)}`
const named = (username: string) => ({ username, email: `${username}@example.com`, password: PASSWORD })
const call = (path: string, body: unknown, more: Sent = {}) => auth(stack, path, { body, ...more })
const register = (body: unknown, ip = newAddress()) => call('/register', body, { ip })

async function mailedToken(to: string): Promise<string> {
  const { text } = await mailbox.waitFor(to, { timeoutMs: 20_000 })
  const [token] = /hx[it]_[\w-]{43}/.exec(text) ?? []
  expect(token).toBeDefined()
  return token ?? ''
}

const isIn = async (token: string) => (await auth(stack, '/me', { token })).status === 200
const canSignIn = async (username: string, password: string) =>
  (await call('/login-json', { username, password })).status === 200

describe('making an account', () => {
  it('makes a person, their organisation and a session, and verifies the address by mail', async () => {
    const wanted = { ...named(newName()), org_name: 'Späte Lösungen & Co' }
    const response = await register(wanted)
    expect(response.status).toBe(201)
    const made = SignedUp.parse(await response.json())
    const { username, email } = wanted
    expect(made).toMatchObject({ user: { username, email, email_verified: false }, role: 'owner' })
    const [org] = await stack.query('select name, slug, plan, status from orgs where id = $1', [made.org.id])
    const slug = expect.stringMatching(/^spate-losungen-co-\w{6}$/)
    expect(org).toEqual({ name: wanted.org_name, slug, plan: 'free', status: 'active' })
    expect(await actionsOf(stack, made.org.id)).toContain('org.create')
    const token = await mailedToken(email)
    expect((await call('/verify-email', { token })).status).toBe(204)
    expect(await (await auth(stack, '/me', { token: made.access_token })).json()).toMatchObject({
      email,
      email_verified: true,
      is_superuser: false,
      role: 'owner',
      org: { id: made.org.id, slug },
      scopes: expect.arrayContaining(['*:*', 'user', 'owner']),
    })
    const again = await call('/verify-email', { token })
    expect([again.status, (await problemOf(again)).code]).toEqual([400, 'invalid_request'])
  })

  it('names what somebody else has already, however it is spelled', async () => {
    const { username, email } = await someone(stack)
    for (const [field, value] of [
      ['username', username.toUpperCase()],
      ['email', email.toUpperCase()],
    ] as const) {
      const response = await register({ ...named(newName()), [field]: value })
      expect(response.status).toBe(409)
      expect(await problemOf(response)).toMatchObject({ code: 'conflict', errors: [{ pointer: `/${field}` }] })
    }
  })

  it('makes one of two who ask for the same name at the same time', async () => {
    const wanted = named(newName())
    const answers = await Promise.all([register(wanted), register(wanted)])
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
    const rows = await stack.query('select id from users where username = $1', [wanted.username])
    expect(rows).toHaveLength(1)
  })

  it.each([
    ['/password', { password: 'short' }],
    ['/password', { password: 'password1' }],
    ['/password', { password: 'x'.repeat(129) }],
    ['/username', { username: 'no spaces' }],
    ['/username', { username: 'an@address.example' }],
    ['/email', { email: 'nobody' }],
    ['/email', { email: 'a@b.example\r\nbcc: c@d.example' }],
    ['/role', { role: 'owner' }],
    ['/org_id', { org_id: 'org_1' }],
    ['/is_operator', { is_operator: true }],
  ])('refuses what is wrong with %s: %j', async (pointer, wrong) => {
    const response = await register({ ...named(newName()), ...wrong })
    expect(response.status).toBe(422)
    expect((await problemOf(response)).errors?.map((error) => error.pointer)).toEqual([pointer])
  })

  it('refuses a password with the name in it', async () => {
    const username = newName()
    const response = await register({ ...named(username), password: `xx ${username.toUpperCase()} xx` })
    expect(await problemOf(response)).toMatchObject({ status: 422, errors: [{ pointer: '/password' }] })
  })

  it('with an invitation joins its organisation as what it says', async () => {
    const owner = await someone(stack)
    const username = newName()
    const invited = await fetch(`${stack.url}/api/v1/members/invite`, {
      method: 'POST',
      headers: { authorization: `Bearer ${owner.accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ email: `${username}@example.com`, role: 'readonly' }),
    })
    expect(invited.status).toBe(201)
    const invite_token = await mailedToken(`${username}@example.com`)
    const foreign = await register({ ...named(newName()), invite_token })
    expect(foreign.status).toBe(403)
    const response = await register({ ...named(username), invite_token })
    expect(response.status).toBe(201)
    expect(SignedUp.parse(await response.json())).toMatchObject({
      user: { username, email_verified: true },
      org: { id: owner.orgId },
      role: 'readonly',
    })
    expect((await register({ ...named(username), username: newName(), invite_token })).status).toBe(404)
  })

  it('is limited for each address, but a password that breaks a rule is no try', async () => {
    const ip = newAddress()
    const wanted = named(newName())
    for (let at = 0; at < 6; at++) expect((await register({ ...wanted, password: 'short' }, ip)).status).toBe(422)
    expect((await register(wanted, ip)).status).toBe(201)
    for (let at = 1; at < 5; at++) expect((await register(wanted, ip)).status).toBe(409)
    const refused = await register(wanted, ip)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(60)
  })
})

describe('one’s own account', () => {
  const patch = (body: unknown, token: string) => call('/me', body, { method: 'PATCH', token })

  it('takes another name to be called by', async () => {
    const { accessToken, orgId } = await someone(stack)
    const changed = await patch({ display_name: '  Ada ' }, accessToken)
    expect(await changed.json()).toMatchObject({ display_name: 'Ada' })
    expect(await (await patch({ display_name: null }, accessToken)).json()).toMatchObject({ display_name: null })
    expect(await actionsOf(stack, orgId)).toContain('user.update')
    for (const body of [
      { role: 'owner' },
      { is_active: false },
      { is_operator: true },
      { org_id: orgId },
      { username: 'x' },
    ])
      expect((await patch(body, accessToken)).status).toBe(422)
  })

  it('takes another address once the mail to it was answered, and warns the old one', async () => {
    const { accessToken, email, userId } = await someone(stack)
    const next = `${newName()}@example.com`
    const asked = await patch({ email: next }, accessToken)
    expect(await asked.json()).toMatchObject({ email })
    expect((await mailbox.waitFor(email, { timeoutMs: 20_000 })).subject).toContain('about to change')
    // What was mailed to the old address is worth nothing after the change.
    await call('/forgot-password', { email })
    const reset = await mailedToken(email)
    expect((await call('/verify-email', { token: await mailedToken(next) })).status).toBe(204)
    expect(await stack.query('select email, email_key from users where id = $1', [userId])).toEqual([
      { email: next, email_key: next },
    ])
    expect((await call('/reset-password', { token: reset, new_password: 'another heron altogether' })).status).toBe(400)
  })

  it('takes no address that was asked for before its password was changed or reset', async () => {
    const next = 'another heron altogether'
    const asking = async () => {
      const me = await someone(stack)
      const address = `${newName()}@example.com`
      expect((await patch({ email: address }, me.accessToken)).status).toBe(200)
      expect((await mailbox.waitFor(me.email, { timeoutMs: 20_000 })).subject).toContain('about to change')
      return { me, token: await mailedToken(address) }
    }
    const changed = await asking()
    const body = { current_password: PASSWORD, new_password: next }
    expect((await call('/change-password', body, { token: changed.me.accessToken })).status).toBe(204)
    expect((await call('/verify-email', { token: changed.token })).status).toBe(400)
    const reset = await asking()
    await call('/forgot-password', { email: reset.me.email })
    const token = await mailedToken(reset.me.email)
    expect((await call('/reset-password', { token, new_password: next })).status).toBe(204)
    expect((await call('/verify-email', { token: reset.token })).status).toBe(400)
  })

  it('does not take the address of somebody else, now or by the time of the answer', async () => {
    const [one, other] = [await someone(stack), await someone(stack)]
    expect((await patch({ email: other.email.toUpperCase() }, one.accessToken)).status).toBe(409)
    const wanted = `${newName()}@example.com`
    await patch({ email: wanted }, one.accessToken)
    const token = await mailedToken(wanted)
    await stack.query('update users set email = $2, email_key = $2 where id = $1', [other.userId, wanted])
    expect((await call('/verify-email', { token })).status).toBe(409)
    expect(await (await auth(stack, '/me', { token: one.accessToken })).json()).toMatchObject({ email: one.email })
  })
})

describe('a password', () => {
  const next = 'another heron altogether'

  it('is changed by its owner with the present one, and other sessions end', async () => {
    const me = await someone(stack)
    const other = await anotherSession(stack, me.accessToken, me.orgId)
    const change = (current_password: string, new_password: string) =>
      call('/change-password', { current_password, new_password }, { token: me.accessToken })
    const wrong = await change('wrong', next)
    expect([wrong.status, (await problemOf(wrong)).code]).toEqual([400, 'wrong_password'])
    expect(await problemOf(await change(PASSWORD, 'short'))).toMatchObject({
      status: 422,
      errors: [{ pointer: '/new_password' }],
    })
    expect(await isIn(other.access_token)).toBe(true)
    expect((await change(PASSWORD, next)).status).toBe(204)
    expect([await isIn(me.accessToken), await isIn(other.access_token)]).toEqual([true, false])
    expect([await canSignIn(me.username, PASSWORD), await canSignIn(me.username, next)]).toEqual([false, true])
    expect(await actionsOf(stack, me.orgId)).toContain('user.password')
    expect((await mailbox.waitFor(me.email, { timeoutMs: 20_000 })).subject).toContain('was changed')
  })

  it('is changed by one of two who know it at the same time', async () => {
    const me = await someone(stack)
    const other = await anotherSession(stack, me.accessToken, me.orgId)
    const change = (token: string, new_password: string) =>
      call('/change-password', { current_password: PASSWORD, new_password }, { token })
    const answers = await Promise.all([
      change(me.accessToken, 'the first of two herons'),
      change(other.access_token, 'the second of two herons'),
    ])
    // Whoever comes second finds another password, or that their session has ended.
    expect(answers.map(({ status }) => status).sort()).toEqual([204, expect.toBeOneOf([400, 401])])
  })

  it('opens no session any more once another took its place, however late that is noticed', async () => {
    const { userId, orgId } = await someone(stack)
    const deps = depsOver(stack)
    const ctx = { ...deps, requestId: 'req_1', signal: AbortSignal.timeout(60_000), startedMs: 0, defer: () => {} }
    const from = {
      userId,
      orgId,
      role: 'owner',
      audience: 'helix',
      method: 'password',
      ip: 'x',
      userAgent: null,
    } as const
    const sessions = () => stack.query('select id from login_sessions where user_id = $1', [userId])
    const before = await sessions()
    const late = openSession(ctx, { ...from, passwordHash: 'the hash that was checked' })
    await expect(late).rejects.toMatchObject({ status: 401 })
    expect(await sessions()).toEqual(before)
    const [row] = await stack.query('select password_hash from users where id = $1', [userId])
    await openSession(ctx, { ...from, passwordHash: String(row?.password_hash) })
    expect(await sessions()).toHaveLength(before.length + 1)
  })

  it('is reset by the token of a mail, once, and every session ends', async () => {
    const me = await someone(stack)
    await stack.query('update users set locked_until = $2 where id = $1', [me.userId, 2_000_000_000])
    expect((await call('/forgot-password', { email: me.email.toUpperCase() })).status).toBe(202)
    const token = await mailedToken(me.email)
    const reset = (new_password: string) => call('/reset-password', { token, new_password })
    expect(await problemOf(await reset('12345678'))).toMatchObject({ errors: [{ pointer: '/new_password' }] })
    expect((await reset(next)).status).toBe(204)
    expect((await reset(PASSWORD)).status).toBe(400)
    expect(await isIn(me.accessToken)).toBe(false)
    expect((await call('/refresh', { refresh_token: me.refreshToken })).status).toBe(401)
    expect(await canSignIn(me.username, next)).toBe(true)
    expect(await actionsOf(stack, me.orgId)).toContain('user.password_reset')
  })

  it('is reset by no token that is too old, of another purpose or of nobody', async () => {
    const me = await someone(stack)
    await call('/forgot-password', { email: me.email })
    const token = await mailedToken(me.email)
    const rows = () => stack.query('select purpose, expires_at from user_tokens where user_id = $1', [me.userId])
    const reset = (text: string) => call('/reset-password', { token: text, new_password: next })
    expect((await call('/verify-email', { token })).status).toBe(400)
    const [row] = await rows()
    expect(Number(row?.expires_at) - Date.now() / 1000).toBeLessThanOrEqual(1800)
    await stack.query('update user_tokens set expires_at = $2 where token_hash = $1', [await hashSecretToken(token), 1])
    expect((await reset(token)).status).toBe(400)
    expect((await reset('hxt_nothing')).status).toBe(400)
  })

  it('of nobody is mailed to nobody, in the same words', async () => {
    const [nobody, inactive, external] = [`${newName()}@example.com`, await someone(stack), await someone(stack)]
    await stack.query('update users set is_active = false where id = $1', [inactive.userId])
    await stack.query('update users set password_hash = null where id = $1', [external.userId])
    for (const email of [nobody, inactive.email, external.email]) {
      const response = await call('/forgot-password', { email })
      expect([response.status, await response.text()]).toEqual([202, ''])
    }
    // Mails leave in the order of the calls, so that of the last call comes last.
    const known = await someone(stack)
    await call('/forgot-password', { email: known.email })
    await mailbox.waitFor(known.email, { timeoutMs: 20_000 })
    const addressed = mailbox.messages().flatMap(({ to }) => to)
    for (const email of [nobody, inactive.email, external.email]) expect(addressed).not.toContain(email)
  })

  it('of a member is changed by an administrator of their only organisation', async () => {
    const admin = await someone(stack, { role: 'admin' })
    const { orgId } = admin
    const member = await someone(stack, { orgId, role: 'member' })
    const [above, operator, shared, elsewhere, reader] = [
      await someone(stack, { orgId, role: 'owner' }),
      await someone(stack, { orgId, role: 'member', isOperator: true }),
      await someone(stack, { orgId, role: 'member' }),
      await someone(stack),
      await someone(stack, { orgId, role: 'readonly' }),
    ]
    await joins(stack, shared.userId, elsewhere.orgId)
    const change = (username: string, token = admin.accessToken, more: object = {}) =>
      call('/admin/change-password', { username, new_password: next, ...more }, { token })
    expect((await change(above.username)).status).toBe(403)
    expect((await change(operator.username)).status).toBe(403)
    expect((await change(shared.username)).status).toBe(403)
    expect((await change(admin.username)).status).toBe(403)
    expect((await change(elsewhere.username)).status).toBe(404)
    expect((await change('nobody.at.all')).status).toBe(404)
    expect((await change(member.username, reader.accessToken)).status).toBe(403)
    const { apiKey } = await keyOf(stack, { orgId, scopes: ['org:write'] })
    expect((await change(member.username, apiKey)).status).toBe(403)
    expect((await change(member.username, admin.accessToken, { role: 'owner' })).status).toBe(422)
    expect((await change(member.username.toUpperCase())).status).toBe(204)
    expect(await isIn(member.accessToken)).toBe(false)
    expect(await canSignIn(member.username, next)).toBe(true)
    expect(await actionsOf(stack, orgId)).toContain('user.password_by_admin')
  })

  it('of a member is changed by a key only as far as the key itself could go', async () => {
    const owner = await someone(stack)
    const { orgId, userId } = owner
    const [other, admin, member] = [
      await someone(stack, { orgId }),
      await someone(stack, { orgId, role: 'admin' }),
      await someone(stack, { orgId, role: 'member' }),
    ]
    const change = (username: string, token: string) =>
      call('/admin/change-password', { username, new_password: next }, { token })
    const narrow = (await keyOf(stack, { orgId, userId, scopes: ['org:write'] })).apiKey
    const wide = (await keyOf(stack, { orgId, userId })).apiKey
    for (const { username } of [other, admin, member]) expect((await change(username, narrow)).status).toBe(403)
    expect((await change(other.username, wide)).status).toBe(403)
    expect((await change(admin.username, wide)).status).toBe(204)
  })

  it('of members is changed by an organisation a few times in a row, since everybody shares the time it takes', async () => {
    const admin = await someone(stack, { role: 'admin' })
    const { username } = await someone(stack, { orgId: admin.orgId, role: 'member' })
    const change = async () => {
      const body = { username, new_password: 'short' }
      return (await call('/admin/change-password', body, { token: admin.accessToken })).status
    }
    const answers: number[] = []
    while (answers.length < 40 && answers.at(-1) !== 429) answers.push(await change())
    expect(new Set(answers)).toEqual(new Set([422, 429]))
  })

  it('of anybody is changed by an operator, which every organisation of theirs is told', async () => {
    const staff = await someone(stack, { isOperator: true, audience: 'helix-admin' })
    const member = await someone(stack)
    const other = await stack.org()
    await joins(stack, member.userId, other.orgId)
    const body = { username: member.email, new_password: next }
    expect((await call('/admin/change-password', body, { token: staff.accessToken })).status).toBe(204)
    const own = { ...body, username: staff.username }
    expect((await call('/admin/change-password', own, { token: staff.accessToken })).status).toBe(403)
    for (const orgId of [staff.orgId, member.orgId, other.orgId])
      expect(await actionsOf(stack, orgId)).toContain('user.password_by_admin')
    expect(claimsOf(staff.accessToken)).toMatchObject({ aud: 'helix-admin' })
  })
})
