import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { actionsOf, keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { callApi, fellowOf, rowsOf } from './members-kit.ts'

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterEach(() => {
  stack.redis.mode('pass')
  stack.postgres.mode('pass')
})
afterAll(() => stack?.close())

const value = 'the value of a secret, ümläute and all'

type Made = { owner: Person; id: string; path: string }

const api = (credential: string, route: string, body?: unknown) => callApi(stack, credential, { route, body })

async function made(given: Record<string, unknown> = {}): Promise<Made> {
  const owner = await person(stack)
  const { status, body } = await api(owner.accessToken, 'POST /secrets', { name: 'A_TOKEN', value, ...given })
  expect(status).toBe(201)
  const { id } = z.object({ id: z.string() }).parse(body)
  return { owner, id, path: `/secrets/${id}` }
}

const reveal = ({ path }: Pick<Made, 'path'>, credential: string, reason: unknown = 'a test') =>
  api(credential, `POST ${path}/reveal`, { reason })

const stored = async (id: string) => {
  const [row] = await stack.query('select * from secrets where id = $1', [id])
  return z.looseObject({ value: z.string(), last_used_at: z.unknown(), deleted_at: z.unknown() }).parse(row)
}

describe('secrets', () => {
  it('are made, listed, shown, replaced and deleted, and no answer or log holds a value', async () => {
    const { owner, id, path } = await made({ description: 'What it is for' })
    const { accessToken, orgId } = owner
    const view = {
      id,
      object: 'secret',
      name: 'A_TOKEN',
      scope_kind: 'org',
      scope_id: orgId,
      description: 'What it is for',
      version: 1,
      is_active: true,
      last_used_at: null,
      created_at: expect.any(Number),
      updated_at: expect.any(Number),
    }
    expect(await api(accessToken, `GET ${path}`)).toEqual({ status: 200, body: view })
    expect(await api(accessToken, 'GET /secrets')).toMatchObject({ body: { data: [view], has_more: false } })
    const put = await api(accessToken, `PUT ${path}`, { value: 'another value' })
    expect(put).toEqual({ status: 200, body: { ...view, description: null, version: 2 } })
    expect((await reveal({ path }, accessToken)).body).toEqual({ value: 'another value' })
    const described = await api(accessToken, `PUT ${path}`, { description: 'Only a word' })
    expect(described.body).toMatchObject({ version: 3, description: 'Only a word' })
    expect((await reveal({ path }, accessToken)).body).toEqual({ value: 'another value' })
    expect((await api(accessToken, `DELETE ${path}`)).status).toBe(204)
    for (const route of [`GET ${path}`, `DELETE ${path}`]) {
      expect(await api(accessToken, route)).toMatchObject({ status: 404, body: { code: 'not_found' } })
    }
    expect((await api(accessToken, `PUT ${path}`, { value })).status).toBe(404)
    expect((await reveal({ path }, accessToken)).status).toBe(404)
    expect(await actionsOf(stack, owner.orgId)).toEqual([
      'session.open',
      'secret.create',
      'secret.update',
      'secret.reveal',
      'secret.update',
      'secret.reveal',
      'secret.delete',
    ])
    const log = JSON.stringify(await stack.query('select * from audit_log where org_id = $1', [orgId]))
    expect(log).not.toMatch(/another value|ümläute/)
  })

  it('are stored sealed, and are overwritten when they are deleted', async () => {
    const { owner, id, path } = await made()
    const first = await stored(id)
    expect(first.value).toMatch(/^v1\.1\.[\w-]{16}\.[\w-]+$/)
    expect(JSON.stringify(first)).not.toContain('ümläute')
    await api(owner.accessToken, `PUT ${path}`, { value })
    expect((await stored(id)).value).not.toBe(first.value)
    await api(owner.accessToken, `DELETE ${path}`)
    expect(await stored(id)).toMatchObject({ value: '', deleted_at: expect.anything() })
  })

  it('have names of their own, which are free again once they are deleted', async () => {
    const { owner, path } = await made()
    const again = () => api(owner.accessToken, 'POST /secrets', { name: 'A_TOKEN', value })
    expect(await again()).toMatchObject({ status: 409, body: { code: 'conflict' } })
    const agent = { scope_kind: 'agent', scope_id: `agt_${'0'.repeat(26)}` }
    const ofAgent = await api(owner.accessToken, 'POST /secrets', { name: 'A_TOKEN', value, ...agent })
    expect(ofAgent).toMatchObject({ status: 201, body: agent })
    await api(owner.accessToken, `DELETE ${path}`)
    expect((await again()).status).toBe(201)
    const stranger = await person(stack)
    expect((await api(stranger.accessToken, 'POST /secrets', { name: 'A_TOKEN', value })).status).toBe(201)
  })

  it('are found by part of their name and by whose they are, page by page', async () => {
    const owner = await person(stack)
    for (const name of ['stripe.live', 'stripe_test', 'smtp%password']) {
      const { status } = await api(owner.accessToken, 'POST /secrets', { name, value })
      expect(status).toBe(name.includes('%') ? 422 : 201)
    }
    const agent = { scope_kind: 'agent', scope_id: `agt_${'1'.repeat(26)}` }
    await api(owner.accessToken, 'POST /secrets', { name: 'stripe.agent', value, ...agent })
    const names = async (query: string) =>
      rowsOf(await api(owner.accessToken, `GET /secrets?order=asc&${query}`)).map(({ name }) => name)
    expect(await names('search=STRIPE')).toEqual(['stripe.live', 'stripe_test', 'stripe.agent'])
    expect(await names('search=e_t')).toEqual(['stripe_test'])
    expect(await names('scope_kind=agent')).toEqual(['stripe.agent'])
    const [first] = rowsOf(await api(owner.accessToken, 'GET /secrets?order=asc&limit=1'))
    expect(await names(`after=${first?.id}`)).toEqual(['stripe_test', 'stripe.agent'])
  })

  it.each([
    ['no value', { name: 'A' }],
    ['an empty value', { name: 'A', value: '' }],
    ['more than 64 kB', { name: 'A', value: 'ü'.repeat(32 * 1024 + 1) }],
    ['half a character', { name: 'A', value: 'a\ud800' }],
    ['a name with a space', { name: 'A B', value }],
    ['a name that is too long', { name: 'A'.repeat(256), value }],
    ['a description that is too long', { name: 'A', value, description: 'd'.repeat(2001) }],
    ['a description with NUL', { name: 'A', value, description: 'a\0' }],
    ['an agent without its id', { name: 'A', value, scope_kind: 'agent' }],
    ['an agent’s id without the agent', { name: 'A', value, scope_id: `agt_${'0'.repeat(26)}` }],
    ['an unknown field', { name: 'A', value, is_active: false }],
  ])('are refused with %s', async (_what, body) => {
    const owner = await person(stack)
    expect(await api(owner.accessToken, 'POST /secrets', body)).toMatchObject({
      status: 422,
      body: { code: 'invalid_request' },
    })
  })

  it('hold what 64 kB of UTF-8 hold, line breaks and byte-order marks included', async () => {
    const long = `\ufeff\r\n${'ü'.repeat(32 * 1024 - 3)}`
    const secret = await made({ value: long })
    expect((await reveal(secret, secret.owner.accessToken)).body).toEqual({ value: long })
  })

  it('are replaced by one of two who try at the same time, or one after the other', async () => {
    const { owner, id, path } = await made()
    const tries = await Promise.all(
      ['one', 'two', 'three'].map((text) => api(owner.accessToken, `PUT ${path}`, { value: text })),
    )
    const done = tries.filter(({ status }) => status === 200).length
    expect(tries.map(({ status }) => status).filter((status) => status !== 200 && status !== 409)).toEqual([])
    expect(done).toBeGreaterThan(0)
    expect(await stored(id)).toMatchObject({ version: 1 + done })
  })
})

describe('the secrets of an organisation', () => {
  it('are those of administrators, owners and their keys, and not of members', async () => {
    const secret = await made()
    const { owner, path } = secret
    const [admin, member, reader, stranger] = await Promise.all([
      fellowOf(stack, owner, 'admin'),
      fellowOf(stack, owner, 'member'),
      fellowOf(stack, owner, 'readonly'),
      person(stack),
    ])
    const { apiKey } = await keyOf(stack, { orgId: owner.orgId })
    const memberKey = await keyOf(stack, { orgId: owner.orgId, userId: member.userId })
    for (const credential of [admin.accessToken, apiKey]) {
      expect((await api(credential, `GET ${path}`)).status).toBe(200)
      expect((await api(credential, `PUT ${path}`, { value })).status).toBe(200)
    }
    for (const credential of [member.accessToken, memberKey.apiKey, stranger.accessToken]) {
      expect(await api(credential, 'GET /secrets')).toMatchObject({ status: 200, body: { data: [] } })
      expect((await api(credential, `GET ${path}`)).status).toBe(404)
      expect((await api(credential, `PUT ${path}`, { value })).status).toBe(404)
      expect((await api(credential, `DELETE ${path}`)).status).toBe(404)
    }
    for (const credential of [member.accessToken, memberKey.apiKey]) {
      expect(await api(credential, 'POST /secrets', { name: 'B', value })).toMatchObject({ status: 403 })
    }
    expect((await api(reader.accessToken, 'GET /secrets')).status).toBe(403)
    expect((await api(admin.accessToken, `DELETE ${path}`)).status).toBe(204)
  })
})

describe('a reveal', () => {
  it('is for people who are signed in as administrators, and says who asked and why', async () => {
    const secret = await made()
    const { owner, id, path } = secret
    const admin = await fellowOf(stack, owner, 'admin')
    expect(await reveal(secret, admin.accessToken, '  for a test  ')).toEqual({ status: 200, body: { value } })
    const [entry] = await stack.query(`select * from audit_log where org_id = $1 and action = 'secret.reveal'`, [
      owner.orgId,
    ])
    expect(entry).toMatchObject({
      actor_kind: 'user',
      actor_id: admin.userId,
      target_id: id,
      details: { name: 'A_TOKEN', version: 1, reason: 'for a test' },
    })
    expect((await api(owner.accessToken, `GET ${path}`)).body.last_used_at).toEqual(expect.any(Number))
  })

  it('is refused to keys and members, which is written down, and needs a reason', async () => {
    const secret = await made()
    const { owner } = secret
    const member = await fellowOf(stack, owner, 'member')
    const mine = await keyOf(stack, { orgId: owner.orgId, userId: owner.userId })
    const nobodys = await keyOf(stack, { orgId: owner.orgId })
    for (const credential of [member.accessToken, mine.apiKey, nobodys.apiKey]) {
      expect(await reveal(secret, credential)).toMatchObject({ status: 403, body: { code: 'permission_denied' } })
    }
    for (const reason of [undefined, 'ab', '   a   ', 'r'.repeat(501)]) {
      expect(await api(owner.accessToken, `POST ${secret.path}/reveal`, { reason })).toMatchObject({ status: 422 })
    }
    const actions = await actionsOf(stack, owner.orgId)
    expect(actions.filter((action) => action === 'access.denied')).toHaveLength(3)
    expect(actions).not.toContain('secret.reveal')
  })

  it('happens ten times an hour for a person, whatever the secret', async () => {
    const secret = await made()
    const { owner } = secret
    const statuses: number[] = []
    for (let at = 0; at < 11; at++) statuses.push((await reveal(secret, owner.accessToken)).status)
    expect(statuses).toEqual([...Array(10).fill(200), 429])
    const admin = await fellowOf(stack, owner, 'admin')
    expect((await reveal(secret, admin.accessToken)).status).toBe(200)
    const shown = (await actionsOf(stack, owner.orgId)).filter((action) => action === 'secret.reveal')
    expect(shown).toHaveLength(11)
  })

  it('does not happen without the limit or the audit log', async () => {
    const secret = await made()
    const { accessToken } = secret.owner
    expect((await reveal(secret, accessToken)).status).toBe(200)
    stack.redis.mode('refuse')
    expect(await reveal(secret, accessToken)).toMatchObject({ status: 503, body: { code: 'dependency_unavailable' } })
    stack.redis.mode('pass')
    stack.postgres.mode('refuse')
    const away = await reveal(secret, accessToken)
    expect(away).toMatchObject({ status: 503, body: { code: 'dependency_unavailable' } })
    expect(JSON.stringify(away)).not.toContain('ümläute')
  })

  it('is not repeated under an Idempotency-Key: each is a reveal of its own', async () => {
    const secret = await made()
    const { owner, path } = secret
    const call = () =>
      stack.call(
        owner.accessToken,
        `/api/v1${path}/reveal`,
        { reason: 'a test' },
        { headers: { 'idempotency-key': 'k' } },
      )
    for (let at = 0; at < 2; at++) {
      const answer = await call()
      expect([answer.status, answer.headers.get('idempotent-replayed')]).toEqual([200, null])
    }
    expect((await actionsOf(stack, owner.orgId)).filter((action) => action === 'secret.reveal')).toHaveLength(2)
    expect(await stack.query('select id from idempotency_keys where org_id = $1', [owner.orgId])).toEqual([])
  })

  it('gives nothing of a value that was moved from another row', async () => {
    const [secret, other] = [await made(), await made({ value: 'of another organisation' })]
    const { value: moved } = await stored(other.id)
    await stack.query('update secrets set value = $2 where id = $1', [secret.id, moved])
    expect(await reveal(secret, secret.owner.accessToken)).toMatchObject({ status: 500, body: { code: 'internal' } })
    expect(await actionsOf(stack, secret.owner.orgId)).not.toContain('secret.reveal')
  })
})
