import type { Pool } from '@neondatabase/serverless'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { openPool } from '../../scripts/database.ts'
import { Verification } from '../../src/features/audit/schema.ts'
import { count } from '../support/lane.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'

let stack: Stack
let owner: Pool

beforeAll(async () => {
  stack = await startStack()
  const { proxyUrl, ownerUrl } = storesHere()
  owner = openPool({ url: ownerUrl, proxyUrl })
})
afterAll(async () => {
  await owner?.end()
  await stack?.close()
})

const Entry = z.looseObject({
  id: z.string(),
  action: z.string(),
  seq: z.int().nullable(),
  hash: z.string().nullable(),
})
const Listed = z.object({ data: z.array(Entry), has_more: z.boolean(), last_id: z.string().nullable() })

const get = (token: string, path: string) => stack.call(token, `/api/v1/audit${path}`)
const list = async (token: string, query = '') => Listed.parse(await (await get(token, query)).json())

async function verify(token: string, query = ''): Promise<z.infer<typeof Verification>> {
  const response = await get(token, `/verify${query}`)
  expect(response.status).toBe(200)
  return Verification.parse(await response.json())
}

/** Rows as acts of the program would write them. */
async function write(orgId: string, rows: number, given: Record<string, unknown> = {}): Promise<void> {
  const {
    action = 'test.act',
    actor_id = 'usr_nobody',
    target_id = null,
    details = {},
    created_at = 1_700_000_000,
  } = given
  await stack.query(
    `insert into audit_log (id, org_id, actor_kind, actor_id, action, target_id, details, created_at)
     select 'aud_' || $1 || to_char(n, 'FM00000'), $2, 'user', $3, $4, $5, $6, $7::bigint + n
     from generate_series(1, $8::int) n`,
    [crypto.randomUUID(), orgId, actor_id, action, target_id, JSON.stringify(details), created_at, rows],
  )
}

/** An organisation whose log has exactly so many rows, and a key that reads them. */
async function logOf(rows: number): Promise<{ orgId: string; key: string }> {
  const { orgId } = await stack.org()
  const { apiKey } = await keyOf(stack, { orgId, scopes: ['audit:read'] })
  await write(orgId, rows)
  return { orgId, key: apiKey }
}

/** What somebody who owns the tables could do, with every guard put aside for it. */
async function tamper(statement: string, values: readonly unknown[]): Promise<void> {
  const client = await owner.connect()
  const each = (what: string) =>
    Promise.all(['audit_log', 'audit_heads'].map((table) => client.query(`alter table ${table} ${what}`)))
  try {
    await client.query('begin')
    await each('disable trigger user')
    await each('no force row level security')
    const { rowCount } = await client.query(statement, [...values])
    expect(rowCount).toBeGreaterThan(0)
    await each('force row level security')
    await each('enable trigger user')
    await client.query('commit')
  } finally {
    client.release()
  }
}

const idAt = async (orgId: string, seq: number): Promise<string> => {
  const [row] = await stack.query('select id from audit_log where org_id = $1 and seq = $2', [orgId, seq])
  return String(row?.id)
}

describe('the chain', () => {
  it('holds from the first act of an organisation on, whoever acts', async () => {
    const { accessToken, orgId } = await person(stack)
    const body = { name: 'Näme “odd” \u2028 🜁', scopes: ['chat:write'] }
    expect((await stack.call(accessToken, '/api/v1/keys', body)).status).toBe(201)
    await write(orgId, 3, { details: { nested: { list: [1, null, { deep: 'ü' }] }, large: 9007199254740991 } })
    const [head] = await stack.query('select seq::int, hash from audit_heads where org_id = $1', [orgId])
    const found = await verify(accessToken)
    expect(found).toMatchObject({ ok: true, first_seq: 1, head_matches: true, broken: null, next_from_seq: null, head })
    expect(found.checked).toBe(Number(head?.seq))
    expect(found.checked).toBeGreaterThanOrEqual(5)
  })

  it('is followed in parts, from any place', async () => {
    const { orgId, key } = await logOf(count(2500, 12_000))
    const all = await verify(key)
    const total = count(2500, 12_000)
    const isWhole = total <= 10_000
    expect(all).toMatchObject({ ok: true, checked: Math.min(total, 10_000), head_matches: isWhole ? true : null })
    expect(all.next_from_seq).toBe(isWhole ? null : 10_001)
    expect(await verify(key, `?from_seq=${total - 9}`)).toMatchObject({ ok: true, checked: 10, first_seq: total - 9 })
    expect(await verify(key, `?from_seq=${total + 1}`)).toMatchObject({ ok: true, checked: 0, head_matches: true })
    // A change before the place where one begins is seen only from there on.
    await tamper(`update audit_log set action = 'other' where org_id = $1 and seq = 5`, [orgId])
    expect(await verify(key, '?from_seq=6')).toMatchObject({ ok: true })
    expect(await verify(key)).toMatchObject({ ok: false, checked: 4, last_seq: 4, broken: { seq: 5, why: 'changed' } })
  })

  it('is followed from no place behind its end, and a row that is gone there is named', async () => {
    const { orgId, key } = await logOf(10)
    for (const behind of [12, 1000, Number.MAX_SAFE_INTEGER]) {
      const response = await get(key, `/verify?from_seq=${behind}`)
      expect(response.status).toBe(422)
      expect(await response.json()).toMatchObject({
        code: 'invalid_request',
        errors: [{ pointer: 'from_seq', detail: expect.stringContaining('ends with row 10') }],
      })
    }
    await tamper('delete from audit_log where org_id = $1 and seq > 7', [orgId])
    expect(await verify(key, '?from_seq=10')).toMatchObject({ ok: false, broken: { seq: 9, why: 'missing' } })
    expect((await get(key, '/verify?from_seq=12')).status).toBe(422)
    // A row behind the noted end is one too many, not a place that there never was.
    await tamper('update audit_heads set seq = 2 where org_id = $1', [orgId])
    await tamper('delete from audit_log where org_id = $1 and seq = 4', [orgId])
    expect(await verify(key, '?from_seq=5')).toMatchObject({ ok: false, broken: { seq: 4, why: 'missing' } })
  })

  it('of an organisation without rows holds', async () => {
    const { orgId } = await stack.org()
    const { apiKey } = await keyOf(stack, { orgId, scopes: ['audit:read'] })
    expect(await verify(apiKey)).toMatchObject({
      ok: true,
      checked: 0,
      first_seq: null,
      head: null,
      head_matches: true,
    })
    expect((await get(apiKey, '/verify?from_seq=2')).status).toBe(422)
  })

  it.each([
    ['who acted', `actor_id = 'usr_other'`],
    ['where from', `ip = '192.0.2.1'`],
    ['an empty text for none', `target_id = ''`],
    ['when', 'created_at = created_at + 1'],
    ['the facts', `details = '{"a": 1}'`],
    ['its hash', `hash = repeat('0', 64)`],
  ])('names a row that was changed: %s', async (_what, change) => {
    const { orgId, key } = await logOf(7)
    const id = await idAt(orgId, 4)
    await tamper(`update audit_log set ${change} where id = $1`, [id])
    expect(await verify(key)).toMatchObject({ ok: false, checked: 3, broken: { seq: 4, id, why: 'changed' } })
  })

  it('names a row that was changed and given the hash that fits', async () => {
    const { orgId, key } = await logOf(7)
    const [changed, next] = [await idAt(orgId, 4), await idAt(orgId, 5)]
    await tamper(
      `update audit_log a set action = 'other', hash = encode(sha256(convert_to(array_to_json(array[
         'helix.audit.1', prev_hash, seq::text, id, org_id, actor_kind, actor_id, 'other', target_kind, target_id,
         before_hash, after_hash, details::text, ip, request_id, created_at::text])::text, 'UTF8')), 'hex')
       where id = $1`,
      [changed],
    )
    expect(await verify(key)).toMatchObject({ ok: false, checked: 4, broken: { seq: 5, id: next, why: 'unlinked' } })
  })

  it.each([
    ['first', 1],
    ['one in between', 4],
    ['last', 7],
  ])('names the place of a row that was removed: the %s', async (_which, seq) => {
    const { orgId, key } = await logOf(7)
    await tamper('delete from audit_log where org_id = $1 and seq = $2', [orgId, seq])
    expect(await verify(key)).toMatchObject({ ok: false, checked: seq - 1, broken: { seq, id: null, why: 'missing' } })
  })

  it('names the first of two rows that changed places', async () => {
    const { orgId, key } = await logOf(7)
    const [third, fifth] = [await idAt(orgId, 3), await idAt(orgId, 5)]
    await tamper('update audit_log set seq = -seq where id in ($1, $2)', [third, fifth])
    await tamper(`update audit_log set seq = case id when $1 then 5 else 3 end where id in ($1, $2)`, [third, fifth])
    expect(await verify(key)).toMatchObject({ ok: false, broken: { seq: 3, id: fifth, why: 'changed' } })
  })

  it('names a row that was put behind the end, and one that was given no place', async () => {
    const { orgId, key } = await logOf(7)
    const insert = (id: string, seq: number | null) =>
      tamper(
        `insert into audit_log (id, org_id, actor_kind, action, created_at, seq, prev_hash, hash)
         select $1, org_id, 'user', 'forged', 0, $2, hash, 'forged' from audit_heads where org_id = $3`,
        [id, seq, orgId],
      )
    const id = `aud_${crypto.randomUUID()}`
    await insert(id, 8)
    expect(await verify(key)).toMatchObject({ ok: false, checked: 7, broken: { seq: 8, id, why: 'changed' } })
    await tamper('delete from audit_log where id = $1', [id])
    expect(await verify(key)).toMatchObject({ ok: true })
    await insert(`aud_${crypto.randomUUID()}`, null)
    expect(await verify(key)).toMatchObject({ ok: false, checked: 0, broken: { seq: 0, why: 'before_chain' } })
  })

  it('does not hold without its end, or with another one', async () => {
    const { orgId, key } = await logOf(3)
    const id = await idAt(orgId, 3)
    await tamper(`update audit_heads set hash = repeat('0', 64) where org_id = $1`, [orgId])
    expect(await verify(key)).toMatchObject({ ok: false, head_matches: false, broken: { seq: 3, id, why: 'head' } })
    await tamper('update audit_heads set seq = 2 where org_id = $1', [orgId])
    expect(await verify(key)).toMatchObject({ ok: false, head_matches: false, broken: { seq: 3, why: 'head' } })
    await tamper('delete from audit_heads where org_id = $1', [orgId])
    expect(await verify(key)).toMatchObject({ ok: false, head: null, head_matches: false, broken: { why: 'head' } })
  })
})

describe('the list', () => {
  it('is filtered by who, what, on what and when, the newest first', async () => {
    const { orgId, key } = await logOf(0)
    await write(orgId, 2, { action: 'key.create', actor_id: 'usr_a', target_id: 'key_1', created_at: 1000 })
    await write(orgId, 2, { action: 'keys_other', actor_id: 'usr_b', created_at: 2000 })
    await write(orgId, 1, { action: 'key.update', actor_id: 'usr_b', target_id: 'key_1', created_at: 3000 })
    const actions = async (query: string) => (await list(key, query)).data.map(({ action }) => action)
    expect(await actions('')).toEqual(['key.update', 'keys_other', 'keys_other', 'key.create', 'key.create'])
    expect(await actions('?order=asc&limit=3')).toEqual(['key.create', 'key.create', 'keys_other'])
    expect(await actions('?action=key.')).toEqual(['key.update', 'key.create', 'key.create'])
    expect(await actions('?action=key.create')).toEqual(['key.create', 'key.create'])
    expect(await actions('?action=key')).toEqual([])
    expect(await actions('?actor=usr_b')).toEqual(['key.update', 'keys_other', 'keys_other'])
    expect(await actions('?target=key_1&actor=usr_a')).toEqual(['key.create', 'key.create'])
    expect(await actions('?from=1002&to=2002')).toEqual(['keys_other', 'key.create'])
    for (const query of ['?action=Key%25', '?from=x', '?status=1']) expect((await get(key, query)).status).toBe(422)
  })

  it('goes on after a row, in both directions, and after nobody else’s', async () => {
    const { key } = await logOf(5)
    for (const order of ['asc', 'desc']) {
      const whole = (await list(key, `?order=${order}`)).data.map(({ id }) => id)
      const first = await list(key, `?order=${order}&limit=2`)
      expect(first).toMatchObject({ has_more: true, last_id: whole[1] })
      const second = await list(key, `?order=${order}&limit=3&after=${first.last_id}`)
      expect(second).toMatchObject({ has_more: false })
      expect(second.data.map(({ id }) => id)).toEqual(whole.slice(2))
    }
    const other = await logOf(1)
    expect(await list(key, `?after=${(await list(other.key)).last_id}`)).toMatchObject({ data: [] })
  })
})

describe('the export', () => {
  it('is a table in which no cell is a formula', async () => {
    const { orgId, key } = await logOf(0)
    await write(orgId, 1, { action: '=cmd|"/C calc"!A0', actor_id: '+1', target_id: '@x', details: { a: 'b,"\n' } })
    await write(orgId, 1, { action: '-1', actor_id: 'plain', created_at: 1 })
    const response = await get(key, '/export?order=asc')
    expect(response.headers.get('content-type')).toMatch(/^text\/csv/)
    expect(response.headers.get('x-helix-truncated')).toBe('false')
    const [head = '', ...lines] = (await response.text()).split('\r\n')
    expect(head).toMatch(/^id,seq,created_at,actor_kind,actor_id,action,/)
    expect(lines[0]).toContain(`,user,plain,'-1,`)
    expect(lines[1]).toContain(`,user,'+1,"'=cmd|""/C calc""!A0",,'@x,"{""a"":""b,\\""\\n""}",`)
    expect(lines.slice(2)).toEqual([''])
  })

  it('is the same as the list, as JSON', async () => {
    const { key } = await logOf(3)
    const response = await get(key, '/export?format=json')
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual((await list(key)).data)
    expect(await (await get(key, '/export?format=json&actor=nobody')).json()).toEqual([])
  })

  it('says where to go on when there is more than it holds', async () => {
    const { orgId, key } = await logOf(0)
    await tamper(
      `insert into audit_log (id, org_id, actor_kind, action, created_at)
       select $1 || to_char(n, 'FM00000'), $1, 'user', 'test.act', n from generate_series(1, 10003) n`,
      [orgId],
    )
    const first = await get(key, '/export?format=json')
    expect(first.headers.get('x-helix-truncated')).toBe('true')
    const rows = z.array(Entry).parse(await first.json())
    expect(rows).toHaveLength(10_000)
    expect(first.headers.get('x-helix-next-after')).toBe(rows.at(-1)?.id)
    const rest = await get(key, `/export?format=json&after=${rows.at(-1)?.id}`)
    expect(rest.headers.get('x-helix-truncated')).toBe('false')
    expect(await rest.json()).toMatchObject([{ created_at: 3 }, { created_at: 2 }, { created_at: 1 }])
  })
})
