import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { newId } from '../../src/core/ids.ts'
import { keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { callApi, rowsOf } from './members-kit.ts'

let stack: Stack
let operator: Person

beforeAll(async () => {
  stack = await startStack()
  operator = await person(stack, { isOperator: true, audience: 'helix-admin' })
})
afterAll(() => stack?.close())

const call = (credential: string, route: string, body?: unknown) => callApi(stack, credential, { route, body })
const asOperator = (route: string, body?: unknown) => call(operator.accessToken, route, body)

/** What an organisation's log says that operators did to a target, the last first. */
const trailOf = (orgId: string, targetId: string) =>
  stack.query(
    `select action, actor_kind, actor_id, details from audit_log
     where org_id = $1 and target_id = $2 and action like 'admin.%' order by id desc`,
    [orgId, targetId],
  )

/** Everybody whose state an operator may change: an owner, signed in, with a key. */
async function tenant() {
  const owner = await person(stack)
  const { apiKey } = await keyOf(stack, { orgId: owner.orgId, userId: owner.userId })
  const credentials = [owner.accessToken, apiKey]
  const statuses = async () => {
    const answers = await Promise.all(credentials.map((credential) => call(credential, 'GET /org')))
    return answers.map(({ status }) => status)
  }
  expect(await statuses()).toEqual([200, 200])
  return { ...owner, apiKey, statuses }
}

describe('an operator', () => {
  it('is nobody but an operator who signed in as one', async () => {
    const owner = await person(stack)
    const plain = await person(stack, { isOperator: true })
    const { apiKey } = await keyOf(stack, { orgId: operator.orgId, userId: operator.userId })
    for (const credential of [owner.accessToken, plain.accessToken, apiKey]) {
      expect((await call(credential, 'GET /admin/orgs')).status).toBe(403)
      expect((await call(credential, `PATCH /admin/users/${owner.userId}`, { is_operator: true })).status).toBe(403)
    }
    expect((await asOperator('GET /members')).status).toBe(403)
  })

  it('finds organisations and people, which is written down', async () => {
    const owner = await person(stack)
    expect(rowsOf(await asOperator(`GET /admin/orgs?search=${owner.orgId}`))).toMatchObject([
      { id: owner.orgId, status: 'active', plan: 'free', members: 1, deleted_at: null },
    ])
    const found = await asOperator(`GET /admin/users?search=${owner.username.toUpperCase()}`)
    expect(rowsOf(found)).toMatchObject([{ id: owner.userId, email: owner.email, is_active: true, is_operator: false }])
    expect(JSON.stringify(found.body)).not.toMatch(/hash/)
    const [first] = rowsOf(await asOperator('GET /admin/users?limit=1'))
    const [second] = rowsOf(await asOperator(`GET /admin/users?limit=1&after=${first?.id}`))
    expect(String(second?.id) < String(first?.id)).toBe(true)
    const [{ lists } = {}] = await stack.query(
      "select count(*) as lists from audit_log where org_id = $1 and action = 'admin.users.list'",
      [operator.orgId],
    )
    expect(Number(lists)).toBeGreaterThanOrEqual(3)
  })

  it('suspends an organisation for its next call, and lets it go on', async () => {
    const { orgId, statuses } = await tenant()
    const suspended = await asOperator(`PATCH /admin/orgs/${orgId}`, { status: 'suspended', plan: 'premium' })
    expect(suspended).toMatchObject({ status: 200, body: { id: orgId, status: 'suspended', plan: 'premium' } })
    expect(await statuses()).toEqual([401, 401])
    await asOperator(`PATCH /admin/orgs/${orgId}`, { status: 'active' })
    expect(await statuses()).toEqual([200, 200])
    const trail = await trailOf(orgId, orgId)
    expect(trail).toHaveLength(2)
    expect(trail[1]).toMatchObject({
      action: 'admin.org.update',
      actor_kind: 'operator',
      actor_id: operator.userId,
      details: { before: { status: 'active', plan: 'free' }, after: { status: 'suspended', plan: 'premium' } },
    })
    expect(await trailOf(operator.orgId, orgId)).toEqual(trail)
    expect((await asOperator(`PATCH /admin/orgs/${operator.orgId}`, { status: 'suspended' })).status).toBe(409)
  })

  it('deactivates a person everywhere: sessions end, keys rest', async () => {
    const { userId, orgId, statuses, apiKey } = await tenant()
    const other = await person(stack)
    await stack.query(
      "insert into memberships (org_id, user_id, role, created_at, updated_at) values ($1, $2, 'admin', 0, 0)",
      [other.orgId, userId],
    )
    const elsewhere = await keyOf(stack, { orgId: other.orgId, userId })
    expect((await call(elsewhere.apiKey, 'GET /org')).status).toBe(200)
    const answer = await asOperator(`PATCH /admin/users/${userId}`, { is_active: false })
    expect(answer).toMatchObject({ status: 200, body: { id: userId, is_active: false, is_operator: false } })
    expect(await statuses()).toEqual([401, 401])
    expect((await call(elsewhere.apiKey, 'GET /org')).status).toBe(401)
    await asOperator(`PATCH /admin/users/${userId}`, { is_active: true })
    expect(await statuses()).toEqual([401, 200])
    expect((await call(apiKey, 'GET /org')).status).toBe(200)
    for (const org of [operator.orgId, orgId, other.orgId]) expect(await trailOf(org, userId)).toHaveLength(2)
  })

  it('makes operators, and the last one stays', async () => {
    const made = await person(stack)
    expect((await asOperator(`PATCH /admin/users/${made.userId}`, { is_operator: true })).body).toMatchObject({
      is_operator: true,
    })
    const colleague = await person(stack, { isOperator: true, audience: 'helix-admin' })
    expect((await call(colleague.accessToken, 'GET /admin/orgs')).status).toBe(200)
    await asOperator(`PATCH /admin/users/${colleague.userId}`, { is_operator: false })
    expect((await call(colleague.accessToken, 'GET /admin/orgs')).status).toBe(401)
    await stack.query('update users set is_operator = false where id <> $1', [operator.userId])
    for (const change of [{ is_operator: false }, { is_active: false }]) {
      expect((await asOperator(`PATCH /admin/users/${operator.userId}`, change)).status).toBe(409)
    }
    expect((await asOperator('GET /admin/orgs')).status).toBe(200)
  })

  it('hears of what is not there, and of what cannot be changed', async () => {
    const gone = await person(stack)
    await stack.query('update orgs set deleted_at = 1 where id = $1', [gone.orgId])
    for (const id of [gone.orgId, newId('org', Date.now()), 'org_1']) {
      expect((await asOperator(`PATCH /admin/orgs/${id}`, { plan: 'free' })).status).toBe(404)
    }
    for (const id of [newId('usr', Date.now()), 'usr_1', gone.orgId]) {
      expect((await asOperator(`PATCH /admin/users/${id}`, { is_active: true })).status).toBe(404)
    }
    expect((await asOperator(`PATCH /admin/orgs/${operator.orgId}`, { name: 'Mine' })).status).toBe(422)
    expect((await asOperator(`PATCH /admin/users/${gone.userId}`, { email: 'a@example.com' })).status).toBe(422)
  })

  it('rotates the signing keys: in good time, or at once with every token', async () => {
    const Keys = z.object({ active: z.string(), next: z.string().nullable(), next_signs_at: z.int().nullable() })
    const [owner, late] = [await person(stack), await person(stack)]
    const planned = Keys.parse((await asOperator('POST /admin/signing-keys/rotate', {})).body)
    expect(planned.next).not.toBeNull()
    expect((await call(owner.accessToken, 'GET /org')).status).toBe(200)
    const revoked = Keys.parse((await asOperator('POST /admin/signing-keys/rotate', { revoke: true })).body)
    expect([planned.active, planned.next]).not.toContain(revoked.active)
    // Not the owner's: an isolate that has just verified a token takes it for a moment more.
    expect((await call(late.accessToken, 'GET /org')).status).toBe(401)
    const response = await fetch(`${stack.url}/api/v1/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ refresh_token: late.refreshToken }),
    })
    const { access_token: renewed } = z.object({ access_token: z.string() }).parse(await response.json())
    expect((await call(renewed, 'GET /org')).status).toBe(200)
  })
})
