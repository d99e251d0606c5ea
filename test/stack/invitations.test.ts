import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import type { Role } from '../../src/core/roles.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { actionsOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Answer, callApi, fellowOf, rowsOf } from './members-kit.ts'

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

const call = (credential: string | undefined, route: string, body?: unknown) =>
  callApi(stack, credential, { route, body })
const as = ({ accessToken }: Person, route: string, body?: unknown) => call(accessToken, route, body)
const fellow = (someone: Person, role: Role) => fellowOf(stack, someone, role)

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

  /** Comes again, when told to, if the isolate is busy hashing. */
  async function accept(token: string, username: string, password: string): Promise<Answer> {
    for (;;) {
      const answer = await call(undefined, 'POST /invitations/accept', { token, username, password })
      if (answer.status !== 429 || !String(answer.body.detail).includes('being checked')) return answer
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }

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
    expect(await actionsOf(stack, owner.orgId)).toEqual(expect.arrayContaining(['invitation.create', 'member.join']))
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
    expect((await as(admin, 'POST /members/invite', { email: high.email, role: 'readonly' })).status).toBe(403)
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

  it('are accepted once, however many try', async () => {
    const owner = await person(stack)
    const email = freshAddress()
    await as(owner, 'POST /members/invite', { email })
    const token = await tokenFor(email)
    const names = ['one', 'two', 'three'].map((name) => `${name}-${Date.now()}`)
    const answers = await Promise.all(names.map((name) => accept(token, name, 'correct horse battery')))
    const [won, ...lost] = answers.map(({ status }) => status).sort()
    expect(won).toBe(201)
    // Whoever reads the address after the first has joined finds that it has an account.
    for (const status of lost) expect([404, 409]).toContain(status)
    expect(rowsOf(await as(owner, 'GET /members'))).toHaveLength(2)
  })

  it('wait while a store is away', async () => {
    const owner = await person(stack)
    const email = freshAddress()
    await as(owner, 'POST /members/invite', { email })
    const token = await tokenFor(email)
    for (const store of [stack.redis, stack.postgres]) {
      store.mode('refuse')
      const unavailable = { status: 503, body: { code: 'dependency_unavailable' } }
      expect(await accept(token, 'someone', 'correct horse battery')).toMatchObject(unavailable)
      expect(await as(owner, 'POST /members/invite', { email: freshAddress() })).toMatchObject(unavailable)
      store.mode('pass')
    }
    expect(await open(owner)).toHaveLength(1)
  })
})
