import crypto, { randomUUID } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createGateway, type Gateway } from '../../src/app.ts'
import type { Mail } from '../../src/core/mail.ts'
import { createDeps } from '../../src/deps.ts'
import { parseEnv } from '../../src/env.ts'
import { createAdmit } from '../../src/features/admission/service.ts'
import { areas } from '../../src/features/index.ts'
import { fakeExecution, keptLog, keptMailer, type LogLine } from '../support/fake-deps.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { newAddress, PASSWORD, someone } from './auth-kit.ts'

const hashes = { begun: 0 }
const { scryptSync } = crypto

/** Whoever imports the function from Node gets this one from now on. */
function replaceScrypt(replacement: typeof scryptSync): void {
  crypto.scryptSync = replacement
  syncBuiltinESMExports()
}

let stack: Stack
let gateway: Gateway
let lines: LogLine[]
let mails: Mail[]
let sendsMail: boolean
const execution = fakeExecution()
// A second of its own for each call, so that the gate of hashes lets it pass.
let seconds = 0

beforeAll(async () => {
  stack = await startStack()
  replaceScrypt((...given) => {
    hashes.begun += 1
    return scryptSync(...given)
  })
})
afterAll(() => {
  replaceScrypt(scryptSync)
  return stack?.close()
})

// The gateway in this process, over the real stores: its log can be read to the last word.
beforeEach(() => {
  const [kept, mailer] = [keptLog(), keptMailer()]
  lines = kept.lines
  mails = mailer.sent
  sendsMail = true
  const vars = { ...stack.vars, NEON_PROXY_URL: stack.postgres.url, UPSTASH_REDIS_REST_URL: stack.redis.url }
  const getByName = () => {
    throw new Error('there is no ledger here')
  }
  const deps = {
    ...createDeps(parseEnv(vars), { LEDGER: { getByName } }),
    log: kept.log,
    now: () => Date.now() + 2000 * seconds,
    mailer: {
      send: async (mail: Mail) => {
        await mailer.mailer.send(mail)
        if (!sendsMail) throw new Error('the provider is away')
      },
    },
  }
  gateway = createGateway(areas, deps, { admit: createAdmit() })
})

async function call(path: string, body?: unknown, token?: string): Promise<Response> {
  seconds += 1
  const headers = new Headers({ 'content-type': 'application/json', 'cf-connecting-ip': newAddress() })
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
  const method = body === undefined ? 'GET' : 'POST'
  const request = new Request(`https://helix.test/api/v1/auth${path}`, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const response = await gateway(request, undefined, execution)
  await execution.settled()
  return response
}

const login = (username: string, password: string, more: object = {}) =>
  call('/login-json', { username, password, ...more })

it('one hash is made for every try to sign in, whatever becomes of it', async () => {
  const [fine, inactive, locked, without] = await Promise.all([0, 1, 2, 3].map(() => someone(stack)))
  await stack.query('update users set is_active = false where id = $1', [inactive?.userId])
  await stack.query('update users set locked_until = 4000000000 where id = $1', [locked?.userId])
  await stack.query('update users set password_hash = null where id = $1', [without?.userId])
  const tries: [string | undefined, string, number][] = [
    [fine?.username, PASSWORD, 200],
    [fine?.username, 'wrong', 401],
    ['nobody.at.all', PASSWORD, 401],
    [inactive?.username, PASSWORD, 401],
    [locked?.username, PASSWORD, 401],
    [without?.username, PASSWORD, 401],
  ]
  for (const [username = '', password, status] of tries) {
    const before = hashes.begun
    expect((await login(username, password)).status).toBe(status)
    expect(hashes.begun - before).toBe(1)
  }
})

it('no hash is made for a token that is none', async () => {
  const before = hashes.begun
  await call('/reset-password', { token: 'hxt_nothing', new_password: 'another heron altogether' })
  await call('/register', { username: 'x', email: 'x', password: PASSWORD })
  expect(hashes.begun).toBe(before)
})

it('no password, token or hash is in any line of the log', async () => {
  const name = `u${randomUUID().slice(0, 12)}`
  const secrets: string[] = [PASSWORD, 'a wrong one of theirs', 'another heron altogether']
  const [, wrong = '', next = ''] = secrets
  const keep = async (response: Response) => {
    const body = (await response.json()) as { access_token: string; refresh_token: string }
    secrets.push(body.access_token, body.refresh_token, body.access_token.split('.')[2] ?? '')
    return body
  }
  const mailed = () => /hxt_[\w-]{43}/.exec(mails.at(-1)?.text ?? '')?.[0] ?? ''

  sendsMail = false
  const { access_token } = await keep(
    await call('/register', { username: name, email: `${name}@example.com`, password: PASSWORD }),
  )
  secrets.push(mailed())
  expect(lines.map(({ event }) => event)).toContain('mail_not_sent')
  sendsMail = true
  expect((await call('/verify-email', { token: mailed() })).status).toBe(204)
  await stack.query('update users set failed_logins = 4 where username = $1', [name])
  expect((await login(name, wrong)).status).toBe(401)
  expect(lines.map(({ event }) => event)).toContain('login_failed')
  const { refresh_token } = await keep(await login(name, PASSWORD))
  await keep(await call('/refresh', { refresh_token }))
  expect((await call('/refresh', { refresh_token })).status).toBe(401)
  expect(lines.map(({ event }) => event)).toContain('refresh_token_reused')
  expect((await call('/change-password', { current_password: wrong, new_password: next }, access_token)).status).toBe(
    400,
  )
  await call('/forgot-password', { email: `${name}@example.com` })
  secrets.push(mailed())
  for (const store of [stack.postgres, stack.redis]) {
    store.mode('refuse')
    expect((await call('/reset-password', { token: mailed(), new_password: next })).status).toBe(503)
    expect((await login(name, PASSWORD)).status).toBe(503)
    store.mode('pass')
  }
  expect((await call('/reset-password', { token: mailed(), new_password: next })).status).toBe(204)
  await call('/bootstrap', { token: secrets[0], username: name, email: 'a@b.example', password: next, org_name: 'A' })

  const rows = await stack.query(
    `select password_hash as hash from users where username = $1
     union all select t.token_hash from user_tokens t join users u on u.id = t.user_id where u.username = $1
     union all select t.token_hash from refresh_tokens t join login_sessions s on s.id = t.session_id
       join users u on u.id = s.user_id where u.username = $1`,
    [name],
  )
  expect(rows.length).toBeGreaterThan(5)
  secrets.push(...rows.map(({ hash }) => String(hash)))
  const text = inspect(lines, { depth: null, maxStringLength: null, maxArrayLength: null, breakLength: Infinity })
  expect(text).toContain('dependency_failed')
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(20)
    expect(text).not.toContain(secret)
  }
})
