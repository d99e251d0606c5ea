import { neon, Pool } from '@neondatabase/serverless'
import { cosineDistance, eq, sql as raw } from 'drizzle-orm'
import { drizzle as drizzleHttp } from 'drizzle-orm/neon-http'
import { drizzle as drizzleSocket } from 'drizzle-orm/neon-serverless'
import { bigint, jsonb, numeric, pgTable, text, timestamp, vector } from 'drizzle-orm/pg-core'
import { expect, it } from 'vitest'
import { type Target, withPool } from './target.ts'

const notes = pgTable('notes', {
  id: text('id').primaryKey(),
  tags: text('tags').array().notNull(),
  meta: jsonb('meta').$type<{ stars: number }>().notNull(),
  costNanoUsd: bigint('cost_nano_usd', { mode: 'bigint' }).notNull(),
  price: numeric('price').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
})
const points = pgTable('points', {
  id: text('id').primaryKey(),
  embedding: vector('embedding', { dimensions: 3 }).notNull(),
})

/** What the application does with its data: drizzle over both transports, row-level security, search. */
export function describeData(target: () => Target): void {
  const connect = (user = 'postgres') => neon(target().postgres.urlFor(user))

  it('serves drizzle over HTTP and over WebSocket', async () => {
    const client = connect()
    await client`create table notes (id text primary key, tags text[] not null, meta jsonb not null,
      cost_nano_usd bigint not null, price numeric not null, created_at timestamptz not null)`
    const http = drizzleHttp(client, { schema: { notes } })
    const note = {
      id: 'a',
      tags: ['x', 'y z'],
      meta: { stars: 5 },
      costNanoUsd: 9_007_199_254_740_993n,
      price: '0.10',
      createdAt: new Date('2024-02-29T12:00:00.123Z'),
    }
    expect(await http.insert(notes).values(note).returning()).toEqual([note])
    const [selected, updated] = await http.batch([
      http.select().from(notes).where(eq(notes.id, 'a')),
      http.update(notes).set({ price: '2' }).where(eq(notes.id, 'a')).returning({ price: notes.price }),
    ])
    expect([selected, updated]).toEqual([[note], [{ price: '2' }]])
    const pool = new Pool({ connectionString: target().postgres.urlFor('postgres') })
    const socket = drizzleSocket(pool, { schema: { notes } })
    const rolledBack = socket.transaction(async (tx) => {
      await tx.insert(notes).values({ ...note, id: 'b' })
      await tx.transaction(async (inner) => {
        await inner.insert(notes).values({ ...note, id: 'c' })
      })
      expect(await tx.$count(notes)).toBe(3)
      throw new Error('no')
    })
    await expect(rolledBack).rejects.toThrow('no')
    expect(await socket.query.notes.findMany({ columns: { id: true } })).toEqual([{ id: 'a' }])
    await pool.end()
  })

  it('forces row-level security on every user, as long as no context is set', async () => {
    await createTenantTable(target())
    const app = connect('helix_app')
    expect(await app`select id from tenant_keys`).toEqual([])
    const [, rows] = await app.transaction([
      app`select set_config('app.org', ${'a'}, true)`,
      app`select id from tenant_keys order by id`,
    ])
    expect(rows).toEqual([{ id: 'k1' }])
    expect(await app`select id from tenant_keys`).toEqual([])
    expect(await connect('helix_owner')`select id from tenant_keys`).toEqual([])
    expect(await connect('helix_system')`select id from tenant_keys order by id`).toEqual([{ id: 'k1' }, { id: 'k2' }])
    expect(await app`select id from find_tenant_key(${'h2'})`).toEqual([{ id: 'k2' }])
    const foreign = app.transaction([
      app`select set_config('app.org', ${'a'}, true)`,
      app`insert into tenant_keys values ('k3', 'b', 'h3')`,
    ])
    await expect(foreign).rejects.toMatchObject({ code: '42501' })
    await expect(app`create table sneaky (id int)`).resolves.toEqual([])
    await expect(app`alter table tenant_keys disable row level security`).rejects.toMatchObject({ code: '42501' })
  })

  it('keeps users apart while their transactions interleave', async () => {
    await withPool(
      target(),
      (appPool) =>
        withPool(
          target(),
          async (systemPool) => {
            const countAs = async (pool: Pool) => {
              const client = await pool.connect()
              await client.query('begin')
              const { rows } = await client.query('select current_user as who, count(*)::int as rows from tenant_keys')
              await client.query('commit')
              client.release()
              return rows[0]
            }
            const pairs = Array.from({ length: 10 }, () => [countAs(appPool), countAs(systemPool)]).flat()
            const seen = (await Promise.all(pairs)).map(({ who, rows }) => `${who} ${rows}`)
            expect(new Set(seen)).toEqual(new Set(['helix_app 0', 'helix_system 2']))
          },
          { user: 'helix_system' },
        ),
      { user: 'helix_app' },
    )
  })

  it('does not let a user back into the superuser', async () => {
    await withPool(
      target(),
      async (pool) => {
        const client = await pool.connect()
        await client.query('reset role')
        await client.query('reset session authorization')
        expect((await client.query('select current_user')).rows).toEqual([{ current_user: 'helix_app' }])
        await expect(client.query('set role postgres')).rejects.toMatchObject({ code: '42501' })
        client.release()
      },
      { user: 'helix_app' },
    )
  })

  it('finds words in full text', async () => {
    const sql = connect()
    await sql`create table articles (id int primary key, body text,
      search tsvector generated always as (to_tsvector('english', body)) stored)`
    await sql`create index on articles using gin (search)`
    await sql`insert into articles values (1, 'The quick brown foxes'), (2, 'A lazy dog sleeps'), (3, 'Foxes and a fox')`
    const found = await sql`
      select id from articles, websearch_to_tsquery('english', 'fox') query
      where search @@ query order by ts_rank(search, query) desc, id`
    expect(found).toEqual([{ id: 3 }, { id: 1 }])
  })

  it('orders by vector distance and uses an HNSW index', async ({ skip }) => {
    if (!target().hasVector) skip('no pgvector')
    const sql = connect()
    await sql`create table points (id text primary key, embedding vector(3) not null)`
    const http = drizzleHttp(sql)
    await http.insert(points).values([
      { id: 'x', embedding: [1, 0, 0] },
      { id: 'y', embedding: [0, 1, 0] },
      { id: 'xy', embedding: [1, 1, 0] },
    ])
    await sql`create index points_hnsw on points using hnsw (embedding vector_cosine_ops)`
    const nearest = http
      .select({ id: points.id })
      .from(points)
      .orderBy(cosineDistance(points.embedding, [1, 0.1, 0]))
      .limit(2)
    expect(await nearest).toEqual([{ id: 'x' }, { id: 'xy' }])
    const [, plan] = await sql.transaction([sql`set local enable_seqscan = off`, explain(sql)])
    expect(JSON.stringify(plan)).toContain('points_hnsw')
    expect(await http.execute(raw`select vector_dims(embedding) as dims from points limit 1`)).toMatchObject({
      rows: [{ dims: 3 }],
    })
  })
}

function explain(sql: ReturnType<typeof neon<false, false>>) {
  return sql`explain select id from points order by embedding <=> '[1,0,0]' limit 1`
}

/** A table of tenants, its policies, and the one look-up that comes before a tenant is known. */
async function createTenantTable(target: Target): Promise<void> {
  const asRole = async (role: string, statements: readonly string[]) => {
    const sql = neon(target.postgres.urlFor(role))
    for (const statement of statements) await sql.query(statement)
  }
  await asRole('helix_owner', [
    'create table tenant_keys (id text primary key, org_id text not null, hash text)',
    'alter table tenant_keys enable row level security',
    'alter table tenant_keys force row level security',
    `create policy tenant on tenant_keys to helix_app
       using (org_id = nullif(current_setting('app.org', true), ''))
       with check (org_id = nullif(current_setting('app.org', true), ''))`,
    'create policy system on tenant_keys to helix_system using (true) with check (true)',
    'grant select, insert, update, delete on tenant_keys to helix_app, helix_system',
  ])
  await asRole('helix_system', [
    "insert into tenant_keys values ('k1', 'a', 'h1'), ('k2', 'b', 'h2')",
    `create function find_tenant_key(wanted text) returns setof tenant_keys language sql security definer
       set search_path = public as $$ select * from tenant_keys where hash = wanted $$`,
    'revoke all on function find_tenant_key from public',
    'grant execute on function find_tenant_key to helix_app',
  ])
}
