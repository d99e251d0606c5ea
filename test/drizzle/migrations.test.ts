import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from '@neondatabase/serverless'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' }
import { openPool } from '../../scripts/database.ts'
import { type LocalPostgres, startPostgres } from '../../scripts/local/postgres/server.ts'
import { type DatabaseUrls, migrate } from '../../scripts/migrate.ts'
import { insert } from '../../scripts/seed.ts'
import { hashKey } from '../../src/features/keys/service.ts'
import { migrateAsFarAsPossible, startRealPostgres } from '../support/real-postgres.ts'
import { allTables, openTables, tenantTables, unforcedTables } from './tenancy.ts'

const pepper = 'pepper-of-this-test-pepper-of-this-test'
const passwords = { helix_owner: "owner's password", helix_app: 'app"password', helix_system: 'system-password' }
/** Tables without a column `org_id`: whose their rows are is told here. Every other table belongs to organisations. */
const otherTables = {
  orgs: 'a row is an organisation',
  users: 'people, seen by organisations that they are in',
  user_tokens: 'a person’s, read by definer functions only',
  bootstrap_tokens: 'the installation’s',
  signing_keys: 'the installation’s',
  prices: 'everybody’s to read',
}

const real = await startRealPostgres()
if (!real) console.log('Migrations on a real Postgres are skipped: none is installed.')

const servers = [
  { name: 'the embedded Postgres', upstream: undefined, admin: { postgres: 'admin-password' } },
  ...(real ? [{ name: 'a real Postgres', upstream: real.url, admin: { postgres: real.password } }] : []),
]

afterAll(() => real?.stop())

describe.each(servers)('the migrations on $name', ({ upstream, admin }) => {
  let server: LocalPostgres
  let urls: DatabaseUrls
  let hasVectors: boolean
  const pools: Pool[] = []

  const as = (url: string): Pool => {
    const pool = openPool({ url, proxyUrl: server.proxyUrl })
    pools.push(pool)
    return pool
  }

  beforeAll(async () => {
    server = await startPostgres({
      users: { ...admin, ...passwords },
      upstream,
      database: upstream ? undefined : 'helix',
    })
    urls = {
      adminUrl: server.urlFor('postgres'),
      ownerUrl: server.urlFor('helix_owner'),
      appUrl: server.urlFor('helix_app'),
      systemUrl: server.urlFor('helix_system'),
      proxyUrl: server.proxyUrl,
    }
    hasVectors = await migrateAsFarAsPossible({ ...urls, adminUrl: server.urlFor('postgres') })
  })

  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await server?.close()
  })

  it('may run again without an administrator and change nothing', async ({ skip }) => {
    skip(!hasVectors, 'this Postgres has no pgvector')
    await migrate({ ...urls, adminUrl: undefined })
    await migrate(urls)
    const { rows } = await as(urls.ownerUrl).query('select count(*)::int as count from drizzle.__drizzle_migrations')
    expect(rows).toEqual([{ count: journal.entries.length }])
  })

  it('give no role the power to pass row-level security by', async () => {
    const { rows } = await as(urls.ownerUrl).query(
      `select rolname, rolsuper, rolbypassrls from pg_roles where rolname like 'helix_%' order by rolname`,
    )
    expect(rows).toEqual(
      ['helix_app', 'helix_owner', 'helix_system'].map((rolname) => ({
        rolname,
        rolsuper: false,
        rolbypassrls: false,
      })),
    )
  })

  it('force row-level security on every table, and keep rows of organisations to the one that is named', async () => {
    const owner = as(urls.ownerUrl)
    expect(await unforcedTables(owner)).toEqual([])
    expect(await openTables(owner)).toEqual([])
    expect(await allTables(owner)).toEqual([...(await tenantTables(owner)), ...Object.keys(otherTables)].sort())
  })

  const forced = ['enable row level security', 'force row level security']
  const own = `(org_id = nullif(current_setting('app.org', true), ''))`

  it.each<[string, string[], string[]]>([
    ['has no row-level security', [], []],
    ['does not bind its owner', forced.slice(0, 1), [`to helix_app using ${own} with check ${own}`]],
    ['has no policy', forced, []],
    ['has a policy for everybody', forced, [`using ${own} with check ${own}`]],
    ['is written without the condition', forced, [`to helix_app using ${own} with check (true)`]],
    ['says nothing of writing', forced, [`to helix_app using ${own}`]],
    ['has a second policy', forced, [`to helix_app using ${own} with check ${own}`, 'to helix_app using (true)']],
  ])('are not complete with a new table that %s', async (_what, settings, policies) => {
    const client = await as(urls.ownerUrl).connect()
    try {
      await client.query('begin')
      await client.query('create table "planted" (id text primary key, org_id text not null)')
      for (const setting of settings) await client.query(`alter table "planted" ${setting}`)
      for (const [index, policy] of policies.entries()) {
        await client.query(`create policy "p${index}" on "planted" ${policy}`)
      }
      expect(await openTables(client)).toEqual(['planted'])
    } finally {
      await client.query('rollback')
      client.release()
    }
  })

  it('show a role nothing but the organisation that its transaction names', async () => {
    const [first, second] = [
      await insert(as(urls.systemUrl), pepper, { name: 'First', budgetUsd: 1, requestsPerMinute: 5 }),
      await insert(as(urls.systemUrl), pepper, { name: 'Second', budgetUsd: 1, requestsPerMinute: 5 }),
    ]
    const client = await as(urls.appUrl).connect()
    try {
      const tables = [...(await tenantTables(as(urls.ownerUrl))), 'orgs', 'users']
      expect(tables.length).toBeGreaterThan(10)
      for (const table of tables) expect((await client.query(`select * from ${table}`)).rows).toEqual([])
      await client.query('begin')
      await client.query(`select set_config('app.org', $1, true)`, [first.orgId])
      const keys = await client.query('select org_id from api_keys')
      expect(keys.rows).toEqual([{ org_id: first.orgId }])
      const change = await client.query('update budgets set limit_nanos = 0 where org_id = $1', [second.orgId])
      expect(change.rowCount).toBe(0)
      await client.query('commit')
      expect((await client.query('select * from api_keys')).rows).toEqual([])
    } finally {
      client.release()
    }
    expect((await as(urls.ownerUrl).query('select * from api_keys')).rows).toEqual([])
  })

  it('move the limits of every organisation out of their policies, and leave those as they are', async () => {
    const text = await readFile(join(import.meta.dirname, '../../drizzle/0005_money_rules.sql'), 'utf8')
    const move = text
      .split('--> statement-breakpoint')
      .find((statement) => statement.includes('from public.policies p'))
    const system = as(urls.systemUrl)
    const seeded = [
      await insert(system, pepper, { name: 'Moved' }),
      await insert(system, pepper, { name: 'Moved, too' }),
    ]
    const specs = [
      { metric: 'requests', per_minute: 60, burst: 5 },
      { metric: 'requests', per_minute: 7 },
      { metric: 'tokens', per_minute: 1000, burst: 3 },
    ]
    for (const [at, { orgId, keyId }] of seeded.entries()) {
      await system.query(
        `insert into policies (id, org_id, attach_kind, attach_id, limits, created_at, updated_at)
         values ($1, $2, 'key', $3, $4, 5, 6)`,
        [`pol_01m7zdc1sz380pb4hf0t886${at}00`, orgId, keyId, JSON.stringify(specs)],
      )
    }
    await as(urls.ownerUrl).query(move ?? '')
    for (const { orgId, keyId } of seeded) {
      const { rows } = await system.query(
        `select id, subject_kind, subject_id, metric, algorithm, window_seconds, calendar, amount::int, burst::int, mode
         from limits where org_id = $1 order by metric, amount desc`,
        [orgId],
      )
      const common = { subject_kind: 'key', subject_id: keyId, window_seconds: 60, calendar: null, mode: 'enforce' }
      const bucket = { ...common, metric: 'requests', algorithm: 'token_bucket' }
      expect(rows.map(({ id: _id, ...row }) => row)).toEqual([
        { ...bucket, amount: 60, burst: 5 },
        { ...bucket, amount: 7, burst: null },
        { ...common, metric: 'tokens', algorithm: 'sliding_window', amount: 1000, burst: null },
      ])
      for (const { id } of rows) expect(id).toMatch(/^lim_[0-9a-z]{26}$/)
      const { rows: left } = await system.query('select limits from policies where org_id = $1', [orgId])
      expect(left).toEqual([{ limits: specs }])
    }
    expect((await as(urls.ownerUrl).query('select current_user as role')).rows).toEqual([{ role: 'helix_owner' }])
  })

  it('refuse a row for another organisation than the one that is named', async () => {
    const [mine, other] = [
      await insert(as(urls.systemUrl), pepper, { name: 'Mine' }),
      await insert(as(urls.systemUrl), pepper, { name: 'Other' }),
    ]
    const client = await as(urls.appUrl).connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('app.org', $1, true)`, [mine.orgId])
      const foreign = client.query(
        `insert into policies (id, org_id, attach_kind, attach_id, limits, created_at, updated_at)
         values ('pol_x', $1, 'org', $1, '[]', 0, 0)`,
        [other.orgId],
      )
      await expect(foreign).rejects.toMatchObject({ code: '42501' })
      await client.query('rollback')
    } finally {
      client.release()
    }
  })

  it('find a key by its hash before the organisation is known, and nothing by another', async () => {
    const seeded = await insert(as(urls.systemUrl), pepper, { name: 'Found' })
    const app = as(urls.appUrl)
    const found = await app.query('select id, org_id, is_live from find_key($1)', [
      await hashKey(pepper, seeded.apiKey),
    ])
    expect(found.rows).toEqual([{ id: seeded.keyId, org_id: seeded.orgId, is_live: true }])
    expect((await app.query('select * from find_key($1)', ['nothing'])).rows).toEqual([])
  })

  it.each([
    ['update usage_ledger set cost_nanos = 0'],
    ['delete from usage_ledger'],
    ['truncate usage_ledger'],
    ['create table mine (id int)'],
    ['alter table api_keys disable row level security'],
    ['delete from orgs'],
    ["update audit_log set action = 'nothing'"],
    ['delete from audit_log'],
    ['update audit_heads set seq = 0'],
    ["insert into audit_heads (org_id, seq, hash) values ('org_x', 0, '')"],
    ['delete from request_log'],
    ['update request_log set status_code = 200'],
    ['update users set is_operator = true'],
    ["insert into users (id) values ('usr_x')"],
    ['select * from user_tokens'],
    ['select * from bootstrap_tokens'],
  ])('do not let the application %s', async (statement) => {
    await expect(as(urls.appUrl).query(statement)).rejects.toMatchObject({ code: '42501' })
  })
})
