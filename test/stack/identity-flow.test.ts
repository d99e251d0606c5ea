import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import { readClient } from '../support/client-events.ts'
import { actionsOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'
import { auth, newAddress, PASSWORD, pairOf } from './auth-kit.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)
let stack: Stack
let mailbox: Mailbox
let node: DemoNode

beforeAll(async () => {
  mailbox = await startMailbox({ port: 0, token: 'token-of-the-mailbox' })
  node = await startDemoNode({ chunkDelayMs: 0 })
  stack = await startStack({
    vars: {
      REGISTRATION: 'closed',
      OLLAMA_BASE_URL: node.url,
      MAIL_URL: `${mailbox.url}/emails`,
      MAIL_API_KEY: mailbox.token,
      MAIL_FROM: 'helix@helix.test',
    },
  })
})
// An installation without an operator; files run one after another, and none relies on those of an earlier one.
beforeEach(async () => {
  await stack.query('update users set is_operator = false')
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([mailbox?.close(), node?.close()])
})

const Row = z.object({ id: z.string() })
const Joined = z.object({ access_token: z.string(), org: Row, user: Row })
const Key = Row.extend({ secret: z.string() })

type Answer = { status: number; body: unknown }

/** A call of the API. One that finds the isolate busy hashing comes again when it may. */
async function send(route: string, { by, body }: { by?: string; body?: unknown } = {}): Promise<Answer> {
  const [method = 'GET', path = ''] = route.split(' ')
  const headers = {
    'cf-connecting-ip': newAddress(),
    ...(by !== undefined && { authorization: `Bearer ${by}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  }
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
  for (;;) {
    const response = await fetch(`${stack.url}${path}`, init)
    const text = await response.text()
    if (response.status !== 429 || !text.includes('being checked right now')) {
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get('retry-after'))))
  }
}

const statusOf = async (...call: Parameters<typeof send>) => (await send(...call)).status

/** What `npm run seed` says to send, with the dots filled in. */
async function printedBootstrap(filledIn: object) {
  const { systemUrl, proxyUrl } = storesHere()
  const env = {
    PATH: process.env.PATH,
    DATABASE_SYSTEM_URL: systemUrl,
    NEON_PROXY_URL: proxyUrl,
    JWT_ISSUER: stack.url,
  }
  const script = ['--disable-warning=ExperimentalWarning', 'scripts/seed.ts']
  const { stdout } = await run(process.execPath, script, { cwd: root, env })
  const [, url = '', json = ''] = /curl (\S+) [\s\S]* -d '(.+)'/.exec(stdout) ?? []
  return { route: `POST ${url.replace(stack.url, '')}`, body: { ...JSON.parse(json), ...filledIn } }
}

/** What an invitation's mail says to send, with the dots filled in. */
async function mailedInvitation(email: string, filledIn: object) {
  const { text } = await mailbox.waitFor(email, { timeoutMs: 10_000 })
  const [, url = '', json = ''] = /POST (\S+)\n\s*(\{.+\})/.exec(text) ?? []
  return { route: `POST ${new URL(url).pathname}`, body: { ...JSON.parse(json), ...filledIn } }
}

/** A streamed chat: what the node said, or how it was refused. */
async function chat(by: string): Promise<string> {
  const messages = [{ role: 'user', content: 'say exactly: the tide is in' }]
  const response = await stack.call(by, '/v1/chat/completions', { model: 'llama3.2:3b', stream: true, messages })
  const { status, text, done, refusal } = await readClient(response)
  return status === 200 ? `${text}${done ? '' : ' …'}` : `${status} ${refusal?.code}`
}

type Account = { username: string; email: string; password: string }

/** The first operator, by the token that is printed, and then nobody else by it. */
async function setUp(account: Account) {
  const printed = await printedBootstrap(account)
  expect(await statusOf(printed.route, { body: { ...printed.body, token: 'hxb_guess' } })).toBe(404)
  const founded = await send(printed.route, printed)
  expect(founded).toMatchObject({ status: 201, body: { role: 'owner', org: { name: 'My team' } } })
  const { access_token: by, org } = Joined.parse(founded.body)
  expect(await statusOf(printed.route, printed)).toBe(404)
  const me = await send('GET /api/v1/auth/me', { by })
  expect(me.body).toMatchObject({ username: account.username, is_superuser: true })
  return { by, orgId: org.id }
}

/** Somebody whom the owner invites, by the mail, and then nobody else by it; they have signed in by themselves. */
async function bringIn({ email, username, password }: Account, { by, orgId }: { by: string; orgId: string }) {
  expect(await statusOf('POST /api/v1/members/invite', { by, body: { email, role: 'member' } })).toBe(201)
  const invitation = await mailedInvitation(email, { username, password })
  expect(await statusOf(invitation.route, { body: { ...invitation.body, token: 'hxi_guess' } })).toBe(404)
  const accepted = await send(invitation.route, invitation)
  expect(accepted).toMatchObject({ status: 201, body: { role: 'member', org: { id: orgId } } })
  expect(await statusOf(invitation.route, invitation)).toBe(404)
  const wrong = await auth(stack, '/login', { form: { username, password: `${password}!` } })
  expect(wrong.status).toBe(401)
  const pair = await pairOf(await auth(stack, '/login', { form: { username, password } }))
  return { by: pair.access_token, refresh: pair.refresh_token, userId: Joined.parse(accepted.body).user.id }
}

const keys = '/api/v1/keys'
const laptop = { name: 'Laptop', scopes: ['chat:write', 'models:read'] }
const ANSWER = expect.stringContaining('the tide is in')

/** A key of somebody's own that does what it is for and nothing else; replaced with an overlap, then ended. */
async function useKeys(by: string): Promise<string> {
  expect(await statusOf(`POST ${keys}`, { by, body: { ...laptop, scopes: ['members:write'] } })).toBe(403)
  const created = await send(`POST ${keys}`, { by, body: laptop })
  expect(created.status).toBe(201)
  const first = Key.parse(created.body)
  expect(await chat(first.secret)).toEqual(ANSWER)
  expect(await statusOf('GET /v1/models', { by: first.secret })).toBe(200)
  const embedding = { by: first.secret, body: { model: 'nomic-embed-text', input: 'x' } }
  expect(await statusOf('POST /v1/embeddings', embedding)).toBe(403)
  expect(await statusOf('GET /api/v1/auth/me', { by: first.secret })).toBe(403)

  const rotation = { by, body: { overlap_seconds: 3600 } }
  const rotated = await send(`POST ${keys}/${first.id}/rotate`, rotation)
  expect(rotated).toMatchObject({ status: 201, body: { rotated_from: first.id } })
  const second = Key.parse(rotated.body)
  expect([await chat(first.secret), await chat(second.secret)]).toEqual([ANSWER, ANSWER])
  expect(await statusOf(`POST ${keys}/${first.id}/rotate`, rotation)).toBe(409)

  expect(await statusOf(`DELETE ${keys}/${first.id}`, { by })).toBe(204)
  expect([await chat(first.secret), await chat(second.secret)]).toEqual(['401 invalid_api_key', ANSWER])
  return second.secret
}

it('takes a new administrator from the printed token to a key of a colleague, and takes it all back', async () => {
  const mark = randomUUID().slice(0, 8)
  const account = (name: string) => ({ username: name, email: `${name}@example.com`, password: PASSWORD })
  const owner = await setUp(account(`ada-${mark}`))
  const member = await bringIn(account(`grace-${mark}`), owner)
  const { by, userId } = member
  expect(await statusOf('POST /api/v1/members/invite', { by, body: { email: `eve-${mark}@example.com` } })).toBe(403)
  expect(await statusOf('GET /api/v1/admin/orgs', { by: owner.by })).toBe(403)
  const secret = await useKeys(by)

  const change = (route: string, body: object) => statusOf(`PATCH ${route}/${userId}`, { by: owner.by, body })
  expect(await change('/api/v1/members', { role: 'readonly' })).toBe(200)
  expect(await chat(secret)).toBe('403 permission_denied')
  expect(await statusOf('GET /v1/models', { by: secret })).toBe(200)
  expect(await statusOf(`POST ${keys}`, { by, body: laptop })).toBe(403)

  expect(await change('/api/v1/users', { is_active: false })).toBe(200)
  expect(await chat(secret)).toBe('401 invalid_api_key')
  expect(await statusOf('GET /api/v1/auth/me', { by })).toBe(401)
  expect((await auth(stack, '/refresh', { body: { refresh_token: member.refresh } })).status).toBe(401)

  expect(await statusOf('POST /api/v1/auth/logout', { by: owner.by })).toBe(204)
  expect(await statusOf('GET /api/v1/members', { by: owner.by })).toBe(401)
  const happened = ['installation.bootstrap', 'invitation.create', 'key.create', 'key.rotate', 'key.revoke']
  expect(await actionsOf(stack, owner.orgId)).toEqual(expect.arrayContaining(happened))
})
