import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { claimsOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'
import { auth, PASSWORD, pairOf, problemOf } from './auth-kit.ts'

const root = join(import.meta.dirname, '../..')
let stack: Stack

beforeAll(async () => {
  stack = await startStack({ vars: { REGISTRATION: 'closed' } })
})
beforeEach(async () => {
  // Files run one after another, and none relies on the operators of an earlier one.
  await stack.query('update users set is_operator = false')
  await stack.query('delete from bootstrap_tokens')
})
afterAll(() => stack?.close())

/** `npm run seed` as somebody at a shell runs it. */
async function runSeed(args: readonly string[] = []): Promise<string> {
  const { systemUrl, proxyUrl } = storesHere()
  const env = {
    PATH: process.env.PATH,
    DATABASE_SYSTEM_URL: systemUrl,
    NEON_PROXY_URL: proxyUrl,
    KEY_PEPPER: stack.vars.KEY_PEPPER,
    JWT_ISSUER: stack.url,
  }
  const script = ['--disable-warning=ExperimentalWarning', 'scripts/seed.ts', ...args]
  const child = spawn(process.execPath, script, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (bytes) => {
    said += bytes
  })
  child.stderr.on('data', (bytes) => {
    said += bytes
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect([code, said]).toEqual([0, said])
  return said
}

const tokenIn = (said: string): string => /hxb_[\w-]{43}/.exec(said)?.[0] ?? ''
const bootstrapAs =
  (username: string) =>
  (token: string, more: object = {}) =>
    auth(stack, '/bootstrap', {
      body: { token, username, email: `${username}@example.com`, password: PASSWORD, org_name: 'My team', ...more },
    })

it('makes the first operator by a printed token, once, and nobody else ever', async () => {
  const username = `admin-${randomUUID().slice(0, 8)}`
  const bootstrap = bootstrapAs(username)
  expect((await bootstrap('hxb_guess')).status).toBe(404)

  const replaced = tokenIn(await runSeed())
  const said = await runSeed()
  const token = tokenIn(said)
  expect(said).toContain(`curl ${stack.url}/api/v1/auth/bootstrap`)
  expect((await bootstrap(replaced)).status).toBe(404)
  expect((await bootstrap('hxb_guess')).status).toBe(404)
  const weak = await bootstrap(token, { password: 'changeme123' })
  expect((await problemOf(weak)).errors).toMatchObject([{ pointer: '/password' }])
  expect((await bootstrap(token, { is_operator: false })).status).toBe(422)

  for (const store of [stack.redis, stack.postgres]) {
    store.mode('refuse')
    const unavailable = await bootstrap(token)
    store.mode('pass')
    expect(unavailable.status).toBe(503)
  }
  const made = await bootstrap(token)
  expect(made.status).toBe(201)
  const body = (await made.json()) as { access_token: string; user: object; role: string }
  expect(body).toMatchObject({ user: { username, email_verified: true }, role: 'owner' })
  const me = await auth(stack, '/me', { token: body.access_token })
  expect(await me.json()).toMatchObject({ username, is_superuser: true, org: { name: 'My team' } })
  const staff = { username, password: PASSWORD, audience: 'helix-admin' }
  const signedIn = await pairOf(await auth(stack, '/login-json', { body: staff }))
  expect(claimsOf(signedIn.access_token)).toMatchObject({ aud: 'helix-admin' })

  expect((await bootstrap(token, { username: `${username}-2`, email: `${username}-2@example.com` })).status).toBe(404)
  expect(await runSeed()).toContain('There is an operator already')
})

it('lets nobody register where registration is closed', async () => {
  const body = { username: 'eve', email: 'eve@example.com', password: PASSWORD }
  const closed = await auth(stack, '/register', { body })
  expect([closed.status, (await problemOf(closed)).code]).toEqual([403, 'permission_denied'])
  expect((await auth(stack, '/register', { body: { ...body, invite_token: 'hxi_guess' } })).status).toBe(404)
})

it('goes on making an organisation with a key when it is told to', async () => {
  const said = await runSeed(['--name', 'Another team', '--rpm', '60'])
  expect(said).toMatch(/API key {7}hx_live_\w{61}/)
})

it('lets operators alone make another organisation while registration is closed', async () => {
  const owner = await person(stack)
  const operator = await person(stack, { isOperator: true, audience: 'helix-admin' })
  const statuses = [owner, operator].map(
    async ({ accessToken }) => (await stack.call(accessToken, '/api/v1/orgs', { name: 'Another' })).status,
  )
  expect(await Promise.all(statuses)).toEqual([403, 201])
})
