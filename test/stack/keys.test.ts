import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createKey, parseKey } from '../../src/features/keys/format.ts'
import { recordsOfKeys } from '../../src/features/keys/service.ts'
import { markChanged, recordKeys } from '../../src/features/records/service.ts'
import { count } from '../support/lane.ts'
import { depsOver, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { randomOf } from './truth-traffic.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack?.close())

const Key = z.looseObject({ id: z.string(), scopes: z.array(z.string()), user_id: z.string().nullable() })
const NewKey = Key.extend({
  secret: z.string(),
  created_at: z.int(),
  expires_at: z.int(),
  rotated_from: z.string().nullable(),
})
const Listed = z.object({ data: z.array(Key), has_more: z.boolean(), last_id: z.string().nullable() })
const Problem = z.looseObject({ code: z.string(), detail: z.string() })

const keys = '/api/v1/keys'
const send = (method: string, token: string, path: string, body?: unknown) => stack.call(token, path, body, { method })

async function make(token: string, given: object = {}): Promise<z.infer<typeof NewKey>> {
  const response = await send('POST', token, keys, { name: 'A key', scopes: ['models:read'], ...given })
  expect(response.status).toBe(201)
  return NewKey.parse(await response.json())
}

const list = async (token: string, query = '') => Listed.parse(await (await send('GET', token, keys + query)).json())

async function problem(response: Response): Promise<string> {
  const { code, detail } = Problem.parse(await response.json())
  return `${response.status} ${code} ${detail}`
}

/** What a key gets of a route that any of these keys may call. */
const tryOut = async (apiKey: string) => (await send('GET', apiKey, '/v1/models')).status

const now = () => Math.floor(Date.now() / 1000)

/** Has admission read a key again, as every change by the API does. */
async function touch(id: string): Promise<void> {
  const [row] = await stack.query('select secret_hash from api_keys where id = $1', [id])
  await markChanged(depsOver(stack), [recordKeys.key(String(row?.secret_hash))])
}

describe('a new key', () => {
  it('works at once, shows its secret once, and is written down with its maker', async () => {
    const { accessToken, orgId, userId } = await person(stack)
    const made = await make(accessToken, { name: '  For the build  ', allowed_models: ['gpt-4o'] })
    expect(await tryOut(made.secret)).toBe(200)
    expect(made).toMatchObject({
      object: 'api_key',
      name: 'For the build',
      mode: 'live',
      user_id: userId,
      prefix: made.secret.slice(0, 20),
      last4: made.secret.slice(-4),
      allowed_ips: null,
      allowed_models: ['gpt-4o'],
      revoked_at: null,
    })
    expect(made.expires_at - now()).toBeGreaterThan(364 * 86_400)
    const { secret, ...shown } = made
    expect(await (await send('GET', accessToken, `${keys}/${made.id}`)).json()).toEqual({
      ...shown,
      last_used_at: expect.toSatisfy((at) => at === null || at >= made.created_at),
    })

    const everything = JSON.stringify([
      await list(accessToken),
      await stack.query('select * from api_keys where id = $1', [made.id]),
      await stack.query('select * from audit_log where org_id = $1', [orgId]),
    ])
    expect(everything).not.toContain(secret.slice(20, -6))
    const audited = await stack.query('select * from audit_log where target_id = $1', [made.id])
    expect(audited).toMatchObject([{ action: 'key.create', actor_kind: 'user', actor_id: userId, org_id: orgId }])
  })

  it.each([
    ['a scope that does not exist', { scopes: ['chat:admin'] }, '/scopes/0'],
    ['a marker of sessions as a scope', { scopes: ['operator'] }, '/scopes/0'],
    ['no scope', { scopes: [] }, '/scopes'],
    ['an owner of its own', { user_id: 'usr_1' }, '/user_id'],
    ['an organisation of its own', { org_id: 'org_1' }, '/org_id'],
    ['an end that has passed', { expires_at: 1 }, '/expires_at'],
    ['an end that is ages away', { expires_at: 9_999_999_999 }, '/expires_at'],
    ['no end', { expires_at: null }, '/expires_at'],
    ['a block that is none', { allowed_ips: ['10.0.0.1/33'] }, '/allowed_ips/0'],
    ['no model', { allowed_models: [] }, '/allowed_models'],
    ['an empty name', { name: ' ' }, '/name'],
  ])('is refused with %s', async (_what, given, pointer) => {
    const { accessToken } = await owner()
    const body = { name: 'A key', scopes: ['models:read'], ...given }
    const response = await send('POST', accessToken, keys, body)
    expect(response.status).toBe(422)
    expect(await response.json()).toMatchObject({ code: 'invalid_request', errors: [{ pointer }] })
  })

  it('holds no scope that its maker does not hold', async () => {
    const { accessToken, orgId } = await person(stack, { role: 'member', orgId: (await owner()).orgId })
    const wanted = { name: 'A key', scopes: ['chat:write', 'budgets:write'] }
    expect(await problem(await send('POST', accessToken, keys, wanted))).toMatch(
      /^403 permission_denied .*budgets:write/,
    )
    const { apiKey } = await stack.org({ scopes: ['keys:write', 'models:read'] })
    expect(await problem(await send('POST', apiKey, keys, wanted))).toMatch(/^403 permission_denied .*chat:write/)
    expect(await stack.query('select 1 from api_keys where org_id = $1 and user_id is not null', [orgId])).toEqual([])
  })

  it('of a key belongs to the same person and keeps its restrictions', async () => {
    const { accessToken, userId } = await owner()
    const parent = await make(accessToken, { scopes: ['keys:write', 'models:read'], allowed_models: ['gpt-4o', 'o3'] })
    expect(await make(parent.secret)).toMatchObject({ user_id: userId, allowed_models: ['gpt-4o', 'o3'] })
    expect(await make(parent.secret, { allowed_models: ['o3'] })).toMatchObject({ allowed_models: ['o3'] })
    const wider = { name: 'A key', scopes: ['models:read'], allowed_models: ['gpt-4'] }
    expect(await problem(await send('POST', parent.secret, keys, wider))).toMatch(/^403 permission_denied .*models/)
    const lifted = await send('PATCH', parent.secret, `${keys}/${parent.id}`, { allowed_models: null })
    expect(lifted.status).toBe(403)
  })

  it('is refused when a hundred work, also when several are made at once', async () => {
    const { accessToken, orgId } = await person(stack)
    await stack.query(
      `insert into api_keys (id, org_id, name, mode, public_id, secret_hash, last4, scopes, created_at, updated_at)
       select $1 || n, $1, 'One of many', 'live', $1 || n, $1 || n, 'last', '{}', 1, 1 from generate_series(1, 97) n`,
      [orgId],
    )
    const body = { name: 'A key', scopes: ['models:read'] }
    const responses = await Promise.all(Array.from({ length: 6 }, () => send('POST', accessToken, keys, body)))
    expect(responses.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409, 409])
    const full = await list(accessToken, '?status=live&limit=100')
    expect(full.data).toHaveLength(100)
    const made = full.data.find(({ id }) => id.startsWith('key_'))
    // Without an overlap a key makes room for its successor; with one there would be one too many.
    const rotate = `${keys}/${made?.id}/rotate`
    expect((await send('POST', accessToken, rotate, {})).status).toBe(409)
    expect((await send('POST', accessToken, rotate, { overlap_seconds: 0 })).status).toBe(201)
  })

  it('is not made while Redis is away', async () => {
    const { accessToken, orgId } = await person(stack)
    expect((await list(accessToken)).data).toHaveLength(1)
    stack.redis.mode('refuse')
    try {
      const response = await send('POST', accessToken, keys, { name: 'A key', scopes: ['models:read'] })
      expect(await problem(response)).toMatch(/^503 dependency_unavailable/)
    } finally {
      stack.redis.mode('pass')
    }
    expect(await stack.query('select 1 from api_keys where org_id = $1', [orgId])).toHaveLength(1)
  })
})

/** One owner for the tests that do not care. */
let someone: ReturnType<typeof person> | undefined
const owner = () => {
  someone ??= person(stack)
  return someone
}

describe('a change of a key', () => {
  it('holds from the next call on', async () => {
    const { accessToken } = await owner()
    const { id, secret } = await make(accessToken, { allowed_ips: ['127.0.0.1', '::1'] })
    expect(await send('PATCH', accessToken, `${keys}/${id}`, { scopes: ['keys:read'] })).toMatchObject({ status: 200 })
    expect(await tryOut(secret)).toBe(403)
    await send('PATCH', accessToken, `${keys}/${id}`, { scopes: ['models:read'] })
    expect(await tryOut(secret)).toBe(200)
    const elsewhere = await send('PATCH', accessToken, `${keys}/${id}`, { allowed_ips: ['203.0.113.0/24'] })
    expect(await elsewhere.json()).toMatchObject({ id, allowed_ips: ['203.0.113.0/24'], scopes: ['models:read'] })
    expect(await tryOut(secret)).toBe(403)
    const anywhere = await send('PATCH', accessToken, `${keys}/${id}`, { allowed_ips: null, name: 'Another' })
    expect(await anywhere.json()).toMatchObject({ allowed_ips: null, name: 'Another' })
    expect(await tryOut(secret)).toBe(200)
    const audited = await stack.query('select action, details from audit_log where target_id = $1 order by id', [id])
    expect(audited.map(({ action }) => action)).toEqual([
      'key.create',
      ...Array.from({ length: 4 }, () => 'key.update'),
    ])
    expect(audited.at(-1)?.details).toEqual({ changed: ['name', 'allowed_ips'] })
  })

  it('never gives more than the one who changes it has', async () => {
    const { accessToken, orgId } = await person(stack)
    const wide = await make(accessToken, { scopes: ['models:read', 'budgets:write'] })
    const narrow = await make(accessToken, { scopes: ['keys:write', 'models:read'] })
    const change = (id: string, body: object) => send('PATCH', narrow.secret, `${keys}/${id}`, body)
    expect(await problem(await change(wide.id, { name: 'Mine' }))).toMatch(/^403 .*budgets:write/)
    expect(await problem(await change(narrow.id, { scopes: ['*:*'] }))).toMatch(/^403 .*\*:\*/)
    const rotated = await send('POST', narrow.secret, `${keys}/${wide.id}/rotate`, {})
    expect(await problem(rotated)).toMatch(/^403 .*budgets:write/)
    expect(await stack.query('select 1 from api_keys where org_id = $1', [orgId])).toHaveLength(3)
  })

  it('of its maker narrows it: a demotion, and being sent away', async () => {
    const { accessToken, orgId } = await person(stack)
    const { accessToken: own, userId } = await person(stack, { orgId, role: 'admin' })
    const { id, secret } = await make(own, { scopes: ['*:*'] })
    expect((await send('GET', secret, keys)).status).toBe(200)
    const become = async (statement: string) => {
      await stack.query(`update memberships set ${statement} where org_id = $1 and user_id = $2`, [orgId, userId])
      const deps = depsOver(stack)
      await markChanged(deps, await recordsOfKeys(deps, orgId, userId))
    }
    await become("role = 'member'")
    expect((await list(secret)).data.map((key) => key.id)).toEqual([id])
    const verified = await send('POST', accessToken, `${keys}/verify`, { key: secret })
    expect(await verified.json()).toMatchObject({ valid: true, scopes: expect.not.arrayContaining(['*:*']) })
    await become("role = 'readonly'")
    expect((await send('GET', secret, keys)).status).toBe(403)
    expect(await tryOut(secret)).toBe(200)
    await become('is_active = false')
    expect(await tryOut(secret)).toBe(401)
    expect((await send('POST', accessToken, `${keys}/${id}/rotate`, {})).status).toBe(409)
  })
})

describe('a key that is replaced', () => {
  it('works until its overlap ends, and not after', async () => {
    const { accessToken } = await owner()
    const old = await make(accessToken, { name: 'Old', allowed_models: ['gpt-4o'], expires_at: now() + 90 * 86_400 })
    const response = await send('POST', accessToken, `${keys}/${old.id}/rotate`, { overlap_seconds: 3600 })
    expect(response.status).toBe(201)
    const next = NewKey.parse(await response.json())
    expect(next).toMatchObject({ name: 'Old', scopes: old.scopes, allowed_models: ['gpt-4o'], rotated_from: old.id })
    expect(Math.abs(next.expires_at - old.expires_at)).toBeLessThan(60)
    expect([await tryOut(old.secret), await tryOut(next.secret)]).toEqual([200, 200])
    const shown = NewKey.omit({ secret: true }).parse(
      await (await send('GET', accessToken, `${keys}/${old.id}`)).json(),
    )
    expect(Math.abs(shown.expires_at - now() - 3600)).toBeLessThan(60)

    const change = () => send('PATCH', accessToken, `${keys}/${old.id}`, { expires_at: now() + 86_400 })
    expect(await problem(await change())).toMatch(/^409 conflict/)
    expect((await send('POST', accessToken, `${keys}/${old.id}/rotate`, {})).status).toBe(409)
    await stack.query('update api_keys set expires_at = $2 where id = $1', [old.id, now() - 1])
    await touch(old.id)
    expect([await tryOut(old.secret), await tryOut(next.secret)]).toEqual([401, 200])
  })

  it('ends at once without an overlap, and is replaced once whoever asks', async () => {
    const { accessToken } = await owner()
    const old = await make(accessToken)
    const rotate = () => send('POST', accessToken, `${keys}/${old.id}/rotate`, { overlap_seconds: 0 })
    const responses = await Promise.all([rotate(), rotate(), rotate()])
    expect(responses.map(({ status }) => status).sort()).toEqual([201, 409, 409])
    expect(await tryOut(old.secret)).toBe(401)
    expect(await stack.query('select 1 from api_keys where rotated_from = $1', [old.id])).toHaveLength(1)
  })

  it('leaves its limits to its successor', async () => {
    const { apiKey, keyId } = await stack.org({ scopes: ['keys:write', 'models:read'], requestsPerMinute: 6 })
    const response = await send('POST', apiKey, `${keys}/${keyId}/rotate`, {})
    const next = NewKey.parse(await response.json())
    expect((await send('GET', next.secret, '/v1/models')).headers.get('x-ratelimit-limit-requests')).toBe('6')
  })
})

describe('a key that is revoked', () => {
  it('is refused from the next call on, and revoking it again changes nothing', async () => {
    const { accessToken } = await owner()
    const { id, secret } = await make(accessToken)
    expect(await tryOut(secret)).toBe(200)
    const revoke = () => send('DELETE', accessToken, `${keys}/${id}`)
    const first = await Promise.all([revoke(), revoke()])
    expect(first.map(({ status }) => status)).toEqual([204, 204])
    expect(await tryOut(secret)).toBe(401)
    expect((await revoke()).status).toBe(204)
    const audited = await stack.query("select 1 from audit_log where target_id = $1 and action = 'key.revoke'", [id])
    expect(audited).toHaveLength(1)
    expect(await problem(await send('PATCH', accessToken, `${keys}/${id}`, { name: 'Back' }))).toMatch(/^409 conflict/)
    expect((await send('POST', accessToken, `${keys}/${id}/rotate`, {})).status).toBe(409)
    const listed = async (status: string) =>
      (await list(accessToken, `?status=${status}&limit=100`)).data.map((key) => key.id)
    expect(await listed('revoked')).toContain(id)
    expect(await listed('live')).not.toContain(id)
    expect(await listed('expired')).not.toContain(id)
  })
})

describe('the list of keys', () => {
  it('goes on after the last one seen, either way', async () => {
    const { accessToken, userId } = await person(stack)
    const made = [await make(accessToken), await make(accessToken), await make(accessToken)].map(({ id }) => id)
    const first = await list(accessToken, `?limit=2&user_id=${userId}`)
    expect(first).toMatchObject({ has_more: true, last_id: made[1] })
    expect(first.data.map(({ id }) => id)).toEqual([made[2], made[1]])
    const rest = await list(accessToken, `?limit=2&user_id=${userId}&after=${first.last_id}`)
    expect(rest).toMatchObject({ has_more: false, data: [{ id: made[0] }] })
    const forward = await list(accessToken, `?order=asc&user_id=${userId}`)
    expect(forward.data.map(({ id }) => id)).toEqual(made)
    expect((await send('GET', accessToken, `${keys}?status=gone`)).status).toBe(422)
  })

  it("shows members their own, and nobody another organisation's", async () => {
    const boss = await person(stack)
    const member = await person(stack, { orgId: boss.orgId, role: 'member' })
    const stranger = await person(stack)
    const [theirs, own] = [await make(boss.accessToken), await make(member.accessToken, { scopes: ['keys:read'] })]
    const seen = async (token: string) => (await list(token)).data.map(({ id }) => id)
    expect(await seen(member.accessToken)).toEqual([own.id])
    expect(await seen(own.secret)).toEqual([own.id])
    expect(await seen(boss.accessToken)).toEqual(expect.arrayContaining([own.id, theirs.id]))
    expect((await list(member.accessToken, `?user_id=${boss.userId}`)).data).toEqual([])
    for (const { accessToken } of [member, stranger]) {
      const statuses = [
        await send('GET', accessToken, `${keys}/${theirs.id}`),
        await send('PATCH', accessToken, `${keys}/${theirs.id}`, { name: 'Mine' }),
        await send('POST', accessToken, `${keys}/${theirs.id}/rotate`, {}),
        await send('DELETE', accessToken, `${keys}/${theirs.id}`),
        await send('GET', accessToken, `${keys}/key_%00`),
      ].map(({ status }) => status)
      expect(statuses).toEqual([404, 404, 404, 404, 404])
    }
    expect(await tryOut(theirs.secret)).toBe(200)
  })
})

describe('verifying a key', () => {
  it('tells of keys of the own organisation that work, and nothing of others', async () => {
    const boss = await person(stack)
    const member = await person(stack, { orgId: boss.orgId, role: 'member' })
    const stranger = await person(stack)
    const key = await make(boss.accessToken, { mode: 'test' })
    const verify = async ({ accessToken }: { accessToken: string }, text: string) => {
      const response = await send('POST', accessToken, `${keys}/verify`, { key: text })
      expect(response.status).toBe(200)
      return response.json()
    }
    expect(await verify(boss, key.secret)).toEqual({
      valid: true,
      id: key.id,
      org_id: boss.orgId,
      user_id: boss.userId,
      mode: 'test',
      scopes: ['models:read'],
      allowed_ips: null,
      allowed_models: null,
      expires_at: key.expires_at,
    })
    const nothing = { valid: false }
    expect(await verify(member, key.secret)).toEqual(nothing)
    expect(await verify(stranger, key.secret)).toEqual(nothing)
    expect(await verify(boss, createKey('live'))).toEqual(nothing)
    expect(await verify(boss, 'hx_live_typo')).toEqual(nothing)
    await stack.query('update api_keys set expires_at = $2 where id = $1', [key.id, now() - 1])
    expect(await verify(boss, key.secret)).toEqual(nothing)
    await stack.query('update api_keys set expires_at = null, revoked_at = 1 where id = $1', [key.id])
    expect(await verify(boss, key.secret)).toEqual(nothing)
  })
})

describe('a key that was tampered with', () => {
  const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  const PARALLEL = 24

  /** The checksum by another implementation: CRC-32 of all before it, in base62. */
  function withChecksum(body: string): string {
    let rest = crc32(body)
    let text = ''
    for (let at = 0; at < 6; at++, rest = Math.floor(rest / 62)) text = BASE62.charAt(rest % 62) + text
    return body + text
  }

  const replaced = (text: string, at: number, by: string) => text.slice(0, at) + by + text.slice(at + by.length)

  /** One way of many to get a key wrong; never the key itself. */
  function mutate(key: string, random: () => number): string {
    const pick = (length: number) => Math.floor(random() * length)
    const at = pick(key.length)
    const char = key.charAt(at)
    const ways = [
      () => replaced(key, at, String.fromCharCode(key.charCodeAt(at) ^ (1 << pick(7)))),
      () => replaced(key, at, BASE62.charAt(pick(62))),
      () => replaced(key, at, char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase()),
      () => key.slice(0, at),
      () => key.slice(at),
      () => key.slice(0, at) + BASE62.charAt(pick(62)) + key.slice(at),
      () =>
        replaced(
          key,
          at,
          key
            .slice(at, at + 2)
            .split('')
            .reverse()
            .join(''),
        ),
      () => key + key.slice(at),
    ]
    const mutant = ways[pick(ways.length)]?.() ?? ''
    return mutant === key || !/^[\x21-\x7e]+$/.test(mutant) ? mutate(key, random) : mutant
  }

  it('is refused, and no store is asked when its checksum is wrong', { timeout: count(60_000, 900_000) }, async () => {
    const { apiKey } = await stack.org()
    expect(await tryOut(apiKey)).toBe(200)
    expect(withChecksum(apiKey.slice(0, -6))).toBe(apiKey)
    const random = randomOf(7)
    const mutants = Array.from({ length: count(200, 100_000) }, () => mutate(apiKey, random))
    const costs = () => [stack.redis.requests(), stack.postgres.requests()]
    let before: number[] = []
    // What earlier calls left for after their replies is done when nothing has been asked for a while.
    const isQuiet = () => {
      const earlier = before
      before = costs()
      return String(earlier) === String(before)
    }
    await expect.poll(isQuiet, { interval: 1500, timeout: 20_000 }).toBe(true)
    const statuses = new Map<number, number>()
    const next = mutants.values()
    const worker = async () => {
      for (const mutant of next) {
        const { status, body } = await send('GET', mutant, '/v1/models')
        await body?.cancel()
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
    expect([...statuses]).toEqual([[401, mutants.length]])
    expect(costs()).toEqual(before)
    expect(await tryOut(apiKey)).toBe(200)
  })

  it('is refused with the right checksum too', async () => {
    const { apiKey } = await stack.org()
    const random = randomOf(8)
    const mutants = Array.from({ length: 40 }, () => {
      const at = 8 + Math.floor(random() * 55)
      const other = [...BASE62].filter((char) => char !== apiKey.charAt(at))[Math.floor(random() * 61)] ?? ''
      return withChecksum(replaced(apiKey.slice(0, -6), at, other))
    })
    expect(mutants.every((mutant) => parseKey(mutant) !== undefined && mutant !== apiKey)).toBe(true)
    const statuses = await Promise.all(mutants.map((mutant) => tryOut(mutant)))
    expect(statuses.filter((status) => status !== 401 && status !== 429)).toEqual([])
    expect(await tryOut(withChecksum(apiKey.slice(0, -6).replace('live', 'test')))).not.toBe(200)
  })
})
