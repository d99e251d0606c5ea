import type { Pool } from '@neondatabase/serverless'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPool } from '../../../scripts/database.ts'
import { insert } from '../../../scripts/seed.ts'
import { type ChainRow, chainColumns, hashOfRow, startOf } from '../../../src/features/audit/chain.ts'
import { anyCharacter } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'
import { startRealPostgres } from '../../support/real-postgres.ts'

const pepper = 'pepper-of-this-test-pepper-of-this-test'

const real = await startRealPostgres()
const servers = [
  { name: 'the embedded Postgres', upstream: undefined },
  ...(real ? [{ name: 'a real Postgres', upstream: real }] : []),
]
afterAll(() => real?.stop())

const odd = { id: 'aud_odd', actor_kind: 'user', action: 'key.create', details: '{}', created_at: '0' }

/** Texts that Postgres can hold. */
const text = fc.string({ unit: anyCharacter, maxLength: 20 }).map((made) => made.replaceAll('\0', ''))
const textOrNull = fc.option(text, { nil: null })
const number = fc.constantFrom('0.10', '1e-7', '1.50e20', '-0', '9007199254740993', '12345678901234567890.5')
const details = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify({ value })),
  fc.tuple(text, number).map(([name, value]) => `{"z":1,"${JSON.stringify(name).slice(1, -1)}":${value},"aa":[]}`),
)
const entry = fc.record({
  actor_kind: text,
  actor_id: textOrNull,
  action: text,
  target_kind: textOrNull,
  target_id: textOrNull,
  before_hash: textOrNull,
  after_hash: textOrNull,
  details: details.filter((json) => !/\\u0000|\\ud[89a-f]/i.test(json)),
  ip: textOrNull,
  request_id: textOrNull,
  created_at: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
})

describe.each(servers)('the chain of the audit log on $name', ({ upstream }) => {
  let migrated: MigratedPostgres
  let pool: Pool

  beforeAll(async () => {
    migrated = await startMigratedPostgres(upstream)
    const { server } = migrated
    pool = openPool({ url: server.urlFor('helix_system'), proxyUrl: server.proxyUrl, sessions: 4 })
  })
  afterAll(async () => {
    await pool?.end()
    await migrated?.close()
  })

  const org = async () => (await insert(pool, pepper, { name: 'Audited' })).orgId

  let made = 0
  async function add(orgId: string, given: Partial<Record<string, string | null>> = {}): Promise<void> {
    const row = { ...odd, id: `aud_${made++}`, org_id: orgId, ...given }
    const names = Object.keys(row)
    await pool.query(
      `insert into audit_log (${names.join(', ')}) values (${names.map((_name, at) => `$${at + 1}`).join(', ')})`,
      Object.values(row),
    )
  }

  async function rowsOf(orgId: string): Promise<ChainRow[]> {
    const columns = chainColumns.map((name) => `${name}::text as ${name}`).join(', ')
    return (await pool.query(`select ${columns} from audit_log where org_id = $1 order by audit_log.seq`, [orgId])).rows
  }

  it('has the hashes that its stored columns give', async () => {
    const orgId = await org()
    await fc.assert(
      fc.asyncProperty(entry, async (given) => {
        await add(orgId, given)
      }),
      { numRuns: count(100, 2000) },
    )
    let before = await startOf(orgId, 0)
    const rows = await rowsOf(orgId)
    expect(rows.length).toBeGreaterThanOrEqual(count(100, 2000))
    for (const [index, row] of rows.entries()) {
      expect(row.seq).toBe(String(index + 1))
      expect(row.prev_hash).toBe(before)
      expect(row.hash).toBe(await hashOfRow(row))
      before = row.hash ?? ''
    }
    const { rows: heads } = await pool.query('select seq::int, hash from audit_heads where org_id = $1', [orgId])
    expect(heads).toEqual([{ seq: rows.length, hash: before }])
  })

  it('takes nobody’s word for a place or a hash', async () => {
    const orgId = await org()
    await add(orgId, { seq: '7', prev_hash: 'mine', hash: 'mine' })
    const [row] = await rowsOf(orgId)
    expect(row).toMatchObject({ seq: '1', prev_hash: await startOf(orgId, 0) })
  })

  it('stays whole when several rows of one organisation come at once and together', async () => {
    const [orgId, other] = [await org(), await org()]
    const several = (prefix: string) =>
      pool.query(
        `insert into audit_log (id, org_id, actor_kind, action, created_at)
         select $1 || n, $2, 'user', 'a.b', n from generate_series(1, 5) n`,
        [prefix, orgId],
      )
    await Promise.all([...Array.from({ length: 8 }, (_, at) => several(`several-${at}-`)), add(other)])
    const rows = await rowsOf(orgId)
    expect(rows.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: 40 }, (_, at) => at + 1))
    for (const [index, row] of rows.slice(1).entries()) expect(row.prev_hash).toBe(rows[index]?.hash)
    expect(await rowsOf(other)).toMatchObject([{ seq: '1' }])
  })

  it('does not stand between those who lock their organisation and those who do not', async () => {
    const orgId = await org()
    await add(orgId)
    const client = await pool.connect()
    await client.query('begin')
    await client.query('select from orgs where id = $1 for update', [orgId])
    const waiting = add(orgId)
    const isWaiting = async () =>
      (await pool.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock'`)).rows.length
    if (upstream) await expect.poll(isWaiting).toBeGreaterThan(0)
    await client.query(
      `insert into audit_log (id, org_id, actor_kind, action, created_at) values ('aud_mine', $1, 'user', 'a', 0)`,
      [orgId],
    )
    await client.query('commit')
    client.release()
    await waiting
    expect(await rowsOf(orgId)).toMatchObject([{}, { id: 'aud_mine' }, {}])
  })
})
