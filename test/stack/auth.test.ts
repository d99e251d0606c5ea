import { createHmac, scryptSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { actionsOf, claimsOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { anotherSession, auth, joins, newAddress, PASSWORD, pairOf, problemOf, someone } from './auth-kit.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack?.close())

const signIn = (body: object, ip?: string) => auth(stack, '/login-json', { body, ...(ip !== undefined && { ip }) })

/** As a release before would have stored it. */
function weakHash(pepper: string, password: string): string {
  const salt = Buffer.alloc(16, 7)
  const peppered = createHmac('sha256', pepper).update(password).digest()
  const hash = scryptSync(peppered, salt, 32, { N: 2 ** 14, r: 8, p: 1 })
  const [saltText, hashText] = [salt, hash].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
  return `$scrypt$ln=14,r=8,p=1$${saltText}$${hashText}`
}

describe('signing in', () => {
  it('gives a pair for a username and for an address, by form and by JSON', async () => {
    const { username, email, orgId, userId } = await someone(stack)
    const byForm = await auth(stack, '/login', { form: { grant_type: 'password', username, password: PASSWORD } })
    expect(byForm.status).toBe(200)
    const pair = await pairOf(byForm)
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: userId, org: orgId, role: 'owner', aud: 'helix' })
    const byJson = await signIn({ username: email.toUpperCase(), password: PASSWORD })
    expect(byJson.status).toBe(200)
    const me = await auth(stack, '/me', { token: (await pairOf(byJson)).access_token })
    expect(await me.json()).toMatchObject({ id: userId, username })
    await expect
      .poll(() => stack.query('select last_login_at from users where id = $1', [userId]))
      .not.toEqual([{ last_login_at: null }])
  })

  it('refuses everything that is not right in the same words', async () => {
    const [known, inactive, locked, without] = await Promise.all([
      someone(stack),
      someone(stack),
      someone(stack),
      someone(stack),
    ])
    const soon = Math.floor(Date.now() / 1000) + 900
    await stack.query('update users set is_active = false where id = $1', [inactive.userId])
    await stack.query('update users set locked_until = $2 where id = $1', [locked.userId, soon])
    await stack.query('update users set password_hash = null where id = $1', [without.userId])
    const tries = [
      { username: 'nobody.at.all', password: PASSWORD },
      { username: known.username, password: `${PASSWORD}.` },
      { username: inactive.username, password: PASSWORD },
      { username: locked.username, password: PASSWORD },
      { username: without.username, password: PASSWORD },
      { username: known.username, password: PASSWORD, audience: 'helix-admin' },
    ]
    const answers: unknown[] = []
    for (const body of tries) {
      const response = await signIn(body)
      const { request_id: _one, ...same } = (await response.json()) as Record<string, unknown>
      answers.push({ status: response.status, ...same, authenticate: response.headers.get('www-authenticate') })
    }
    expect(answers[0]).toMatchObject({ status: 401, code: 'invalid_credentials' })
    for (const answer of answers) expect(answer).toEqual(answers[0])
  })

  it('acts for the organisation that is asked for, by default the first live one', async () => {
    const { username, userId, orgId } = await someone(stack, { role: 'admin' })
    const [second, foreign] = [await stack.org(), await stack.org()]
    await joins(stack, userId, second.orgId, 'readonly')
    const asked = await signIn({ username, password: PASSWORD, org_id: second.orgId })
    expect(claimsOf((await pairOf(asked)).access_token)).toMatchObject({ org: second.orgId, role: 'readonly' })
    const refused = await signIn({ username, password: PASSWORD, org_id: foreign.orgId })
    expect(refused.status).toBe(403)
    await stack.query('update memberships set is_active = false where org_id = $1 and user_id = $2', [orgId, userId])
    const left = await signIn({ username, password: PASSWORD })
    expect(claimsOf((await pairOf(left)).access_token)).toMatchObject({ org: second.orgId })
    await stack.query('update memberships set is_active = false where user_id = $1', [userId])
    const none = await signIn({ username, password: PASSWORD })
    expect(none.status).toBe(403)
    expect((await problemOf(none)).code).toBe('permission_denied')
  })

  it('is for operators only where it is for operators', async () => {
    const { username } = await someone(stack, { isOperator: true })
    const response = await signIn({ username, password: PASSWORD, audience: 'helix-admin' })
    expect(claimsOf((await pairOf(response)).access_token)).toMatchObject({ aud: 'helix-admin' })
  })

  it('tells the owners of the fifth failure, and locks the account at the tenth', async () => {
    const { username, userId, orgId } = await someone(stack)
    const failuresAt = (count: number) =>
      stack.query('update users set failed_logins = $2 where id = $1', [userId, count])
    const audited = () =>
      stack.query(`select details, ip from audit_log where org_id = $1 and action = 'login.failed' order by id`, [
        orgId,
      ])
    await failuresAt(4)
    const ip = newAddress()
    expect((await signIn({ username, password: 'wrong' }, ip)).status).toBe(401)
    await expect.poll(audited).toEqual([{ details: { failures: 5, locked: false }, ip }])
    await failuresAt(9)
    expect((await signIn({ username, password: 'wrong' })).status).toBe(401)
    await expect.poll(async () => (await audited()).length).toBe(2)
    expect((await audited())[1]).toMatchObject({ details: { failures: 10, locked: true } })
    expect((await signIn({ username, password: PASSWORD })).status).toBe(401)
    await stack.query('update users set locked_until = $2 where id = $1', [userId, Math.floor(Date.now() / 1000) - 1])
    expect((await signIn({ username, password: PASSWORD })).status).toBe(200)
  })

  it('stores a password at the cost of today once it was given', async () => {
    const { username, userId } = await someone(stack)
    const phc = weakHash(stack.vars.PASSWORD_PEPPER ?? '', PASSWORD)
    await stack.query('update users set password_hash = $2 where id = $1', [userId, phc])
    const stored = () => stack.query('select password_hash from users where id = $1', [userId])
    const isStrong = async () => String((await stored())[0]?.password_hash).startsWith('$scrypt$ln=15,')
    // An isolate that is busy hashing leaves it to the next time.
    const signsInStronger = async () =>
      (await signIn({ username, password: PASSWORD })).status === 200 && (await isStrong())
    await expect.poll(signsInStronger, { timeout: 20_000, interval: 250 }).toBe(true)
    expect((await signIn({ username, password: PASSWORD })).status).toBe(200)
  })

  it('stops an address after a few tries, whoever it claims to be, and no other', async () => {
    const { username } = await someone(stack)
    const ip = newAddress()
    for (let at = 0; at < 3; at++) await signIn({ username: `nobody.${at}`, password: 'wrong' }, ip)
    const refused = await signIn({ username, password: PASSWORD }, ip)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    // Whoever has one address of an IPv6 network has all of them.
    expect((await signIn({ username, password: PASSWORD }, ip.replace(/::.*/, ':f00::2'))).status).toBe(429)
    expect((await signIn({ username, password: PASSWORD })).status).toBe(200)
  })

  it.each([
    { username: 'ada', password: PASSWORD, role: 'owner' },
    { username: 'ada', password: PASSWORD, is_operator: true },
    { username: 'ada', password: PASSWORD, audience: 'other' },
    { username: 'ada' },
    { username: '', password: PASSWORD },
    { username: ['ada'], password: PASSWORD },
    { username: 'ada', password: { length: 8 } },
  ])('refuses a body like %j', async (body) => {
    expect((await signIn(body)).status).toBe(422)
  })

  it('refuses a field that is given twice, a foreign grant and JSON where a form is due', async () => {
    const twice = await fetch(`${stack.url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'username=ada&username=eve&password=x',
    })
    expect(twice.status).toBe(422)
    const grant = { grant_type: 'client_credentials', username: 'ada', password: 'x' }
    expect((await auth(stack, '/login', { form: grant })).status).toBe(422)
    expect((await auth(stack, '/login', { body: { username: 'ada', password: 'x' } })).status).toBe(415)
  })
})

describe('a session', () => {
  it('is refreshed by its refresh token and by nothing else', async () => {
    const { refreshToken } = await someone(stack)
    const next = await auth(stack, '/refresh', { body: { refresh_token: refreshToken } })
    expect(next.status).toBe(200)
    expect((await auth(stack, '/me', { token: (await pairOf(next)).access_token })).status).toBe(200)
    const none = await auth(stack, '/refresh', { body: { refresh_token: 'hxr_none' } })
    expect(none.status).toBe(401)
    expect((await auth(stack, '/refresh', { body: { refresh_token: refreshToken, org_id: 'x' } })).status).toBe(422)
  })

  it('ends with a logout, and all of them with a logout everywhere', async () => {
    const me = await someone(stack)
    const [second, third] = await Promise.all([0, 1].map(() => anotherSession(stack, me.accessToken, me.orgId)))
    const isIn = async (token = '') => (await auth(stack, '/me', { token })).status === 200
    expect(await isIn(me.accessToken)).toBe(true)
    const out = await auth(stack, '/logout', { method: 'POST', token: me.accessToken })
    expect(out.status).toBe(204)
    expect(await isIn(me.accessToken)).toBe(false)
    expect((await auth(stack, '/refresh', { body: { refresh_token: me.refreshToken } })).status).toBe(401)
    expect(await isIn(second?.access_token)).toBe(true)
    expect((await auth(stack, '/logout-all', { method: 'POST', token: second?.access_token ?? '' })).status).toBe(204)
    expect([await isIn(second?.access_token), await isIn(third?.access_token)]).toEqual([false, false])
    expect(await actionsOf(stack, me.orgId)).toEqual(expect.arrayContaining(['session.end', 'session.end_all']))
  })

  it('is listed for its person, who ends one by its id and nobody else does', async () => {
    const [mine, other] = await Promise.all([someone(stack), someone(stack)])
    const ip = newAddress()
    const second = await anotherSession(stack, mine.accessToken, mine.orgId, ip)
    const listed = (await (await auth(stack, '/sessions', { token: mine.accessToken })).json()) as { data: unknown[] }
    expect(listed.data).toMatchObject([
      { ip, user_agent: 'a test', is_current: false, org_id: mine.orgId, method: 'password', audience: 'helix' },
      { id: mine.sessionId, is_current: true },
    ])
    const page = await auth(stack, '/sessions?limit=1&order=asc', { token: mine.accessToken })
    expect(await page.json()).toMatchObject({ data: [{ id: mine.sessionId }], has_more: true })
    const after = await auth(stack, `/sessions?order=asc&after=${mine.sessionId}`, { token: mine.accessToken })
    expect(await after.json()).toMatchObject({ data: [{ ip }], has_more: false })
    const end = (id: string, token: string) => auth(stack, `/sessions/${id}`, { method: 'DELETE', token })
    const { sid } = claimsOf(second.access_token) as { sid: string }
    expect((await end(sid, other.accessToken)).status).toBe(404)
    expect((await end('ses_nothing', mine.accessToken)).status).toBe(404)
    expect((await auth(stack, '/me', { token: second.access_token })).status).toBe(200)
    expect((await end(sid, mine.accessToken)).status).toBe(204)
    expect((await auth(stack, '/me', { token: second.access_token })).status).toBe(401)
    expect((await end(sid, mine.accessToken)).status).toBe(404)
  })

  it('leads to another organisation of its person and to no other', async () => {
    const { userId, accessToken, orgId } = await someone(stack)
    const [second, suspended, foreign] = [await stack.org(), await stack.org(), await stack.org()]
    await joins(stack, userId, second.orgId, 'admin')
    await joins(stack, userId, suspended.orgId)
    await stack.query(`update orgs set status = 'suspended' where id = $1`, [suspended.orgId])
    const to = (org_id: string) => auth(stack, '/switch-org', { body: { org_id }, token: accessToken })
    const pair = await pairOf(await to(second.orgId))
    expect(claimsOf(pair.access_token)).toMatchObject({ org: second.orgId, role: 'admin' })
    expect((await to(foreign.orgId)).status).toBe(404)
    expect((await to(suspended.orgId)).status).toBe(403)
    const me = await auth(stack, '/me', { token: pair.access_token })
    expect(await me.json()).toMatchObject({
      org: { id: second.orgId },
      role: 'admin',
      memberships: [
        { org_id: orgId, role: 'owner', is_active: true },
        { org_id: second.orgId, role: 'admin', is_active: true },
        { org_id: suspended.orgId, role: 'member', is_active: false },
      ],
    })
  })

  it('of another issuer stays within its organisation', async () => {
    const { userId, orgId, accessToken, sessionId } = await someone(stack)
    const elsewhere = await someone(stack)
    await joins(stack, userId, elsewhere.orgId)
    const second = await anotherSession(stack, accessToken, elsewhere.orgId)
    await stack.query(`update login_sessions set method = 'oidc' where id = $1`, [sessionId])
    const as = (path: string, sent: object = {}) => auth(stack, path, { ...sent, token: accessToken })
    expect((await as('/switch-org', { body: { org_id: elsewhere.orgId } })).status).toBe(403)
    const passwords = { current_password: PASSWORD, new_password: 'another heron altogether' }
    expect((await as('/change-password', { body: passwords })).status).toBe(403)
    expect((await as('/me', { method: 'PATCH', body: { email: 'new@example.com' } })).status).toBe(403)
    expect((await as('/me', { method: 'PATCH', body: { display_name: 'Somebody' } })).status).toBe(403)
    expect(await (await as('/me')).json()).toMatchObject({ memberships: [{ org_id: orgId }] })
    expect(await (await as('/sessions')).json()).toMatchObject({ data: [{ id: sessionId }], has_more: false })
    const { sid } = claimsOf(second.access_token) as { sid: string }
    expect((await as(`/sessions/${sid}`, { method: 'DELETE' })).status).toBe(404)
    expect((await as('/logout-all', { method: 'POST' })).status).toBe(204)
    expect((await auth(stack, '/me', { token: second.access_token })).status).toBe(200)
    expect((await as('/me')).status).toBe(401)
  })

  it('is not what an API key has', async () => {
    const { apiKey } = await stack.org({ scopes: ['*:*'] })
    for (const path of ['/me', '/sessions']) expect((await auth(stack, path, { token: apiKey })).status).toBe(403)
    expect((await auth(stack, '/logout', { method: 'POST', token: apiKey })).status).toBe(403)
  })
})

describe('a token of another issuer', () => {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: 'not.a.token',
  }
  const exchange = (wrong: object = {}) => auth(stack, '/exchange', { form: { ...form, ...wrong } })

  it('is refused when it is none, and so is what is no exchange', async () => {
    expect((await exchange()).status).toBe(401)
    expect((await exchange({ grant_type: 'password' })).status).toBe(422)
    expect((await exchange({ subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' })).status).toBe(422)
    expect((await exchange({ actor_token: 'x' })).status).toBe(422)
    expect((await auth(stack, '/exchange', { body: form })).status).toBe(415)
  })
})

describe('without its stores', () => {
  it('nobody signs in, and nobody is told that their password is wrong', async () => {
    const { username, accessToken } = await someone(stack)
    expect((await auth(stack, '/me', { token: accessToken })).status).toBe(200)
    for (const store of [stack.redis, stack.postgres]) {
      store.mode('refuse')
      try {
        const response = await signIn({ username, password: PASSWORD })
        expect(response.status).toBe(503)
        expect((await problemOf(response)).code).toBe('dependency_unavailable')
        const forgot = await auth(stack, '/reset-password', {
          body: { token: 'hxt_1', new_password: 'a new long one' },
        })
        expect(forgot.status).toBe(503)
      } finally {
        store.mode('pass')
      }
    }
  })
})
