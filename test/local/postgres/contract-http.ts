import { NeonDbError, neon } from '@neondatabase/serverless'
import { expect, it } from 'vitest'
import { postSql, type Target, withPool } from './target.ts'

/** Neon's HTTP protocol, checked with the real driver. */
export function describeHttp(target: () => Target): void {
  const connect = () => neon(target().postgres.urlFor('postgres'))

  it('answers single queries with parameters of all common types', async () => {
    const [row] = await connect()`
      select ${42}::int as int, ${'9007199254740993'}::bigint as big, ${'12.50'}::numeric as numeric,
             ${true}::boolean as bool, ${'größe 🐘'}::text as text, ${JSON.stringify({ a: [1, null] })}::jsonb as json,
             ${['a', 'b,"c"', null]}::text[] as texts, ${[1, 2]}::int[] as ints, ${null}::text as nothing,
             ${new Date(0)}::timestamptz as time, ${Buffer.from([0, 255])}::bytea as bytes, ${1.5}::float8 as float,
             'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid as uuid, '2024-02-29'::date as day`
    expect(row).toEqual({
      int: 42,
      big: '9007199254740993',
      numeric: '12.50',
      bool: true,
      text: 'größe 🐘',
      json: { a: [1, null] },
      texts: ['a', 'b,"c"', null],
      ints: [1, 2],
      nothing: null,
      time: new Date(0),
      bytes: Buffer.from([0, 255]),
      float: 1.5,
      uuid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
      day: expect.any(Date),
    })
  })

  it('reports command, row count and columns', async () => {
    const sql = connect()
    await sql`create table counted (id int primary key, name text)`
    const inserted = await sql.query("insert into counted values (1, 'a'), (2, 'b')", [], { fullResults: true })
    expect(inserted).toMatchObject({ command: 'INSERT', rowCount: 2, rows: [] })
    const selected = await sql.query('select * from counted order by id', [], { fullResults: true, arrayMode: true })
    expect(selected).toMatchObject({ command: 'SELECT', rowCount: 2, rowAsArray: true })
    expect(selected.rows).toEqual([
      [1, 'a'],
      [2, 'b'],
    ])
    expect(selected.fields.map((field) => [field.name, field.dataTypeID])).toEqual([
      ['id', 23],
      ['name', 25],
    ])
    const dropped = await sql.query('drop table counted', [], { fullResults: true })
    expect(dropped).toMatchObject({ command: 'DROP', rowCount: null })
  })

  it('runs a batch in one transaction and undoes all of it on an error', async () => {
    const sql = connect()
    await sql`create table batched (id int primary key)`
    await sql.transaction([sql`insert into batched values (1)`, sql`insert into batched values (2)`])
    const broken = sql.transaction([sql`insert into batched values (3)`, sql`insert into batched values (1)`])
    await expect(broken).rejects.toMatchObject({ code: '23505', constraint: 'batched_pkey' })
    expect(await sql`select id from batched order by id`).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('applies isolation level, read-only and deferrable to a batch', async () => {
    const sql = connect()
    const options = { isolationLevel: 'Serializable', readOnly: true, deferrable: true } as const
    const read = sql`
      select current_setting('transaction_isolation') as isolation,
             current_setting('transaction_read_only') as "readOnly",
             current_setting('transaction_deferrable') as deferrable`
    const [settings] = await sql.transaction([read], options)
    expect(settings).toEqual([{ isolation: 'serializable', readOnly: 'on', deferrable: 'on' }])
    const write = sql.transaction([sql`create table never (id int)`], { readOnly: true })
    await expect(write).rejects.toMatchObject({ code: '25006' })
  })

  it('repeats the batch options in the response and refuses an unknown isolation level', async () => {
    const body = { queries: [{ query: 'select 1', params: [] }] }
    const headers = { 'Neon-Batch-Isolation-Level': 'RepeatableRead', 'Neon-Batch-Read-Only': 'TRUE' }
    const response = await postSql(target().postgres, body, headers)
    expect(response.status).toBe(200)
    expect(response.headers.get('neon-batch-isolation-level')).toBe('RepeatableRead')
    expect(response.headers.get('neon-batch-read-only')).toBeNull()
    const refused = await postSql(target().postgres, body, { 'Neon-Batch-Isolation-Level': 'Chaos; drop table x' })
    expect(refused.status).toBe(400)
  })

  it('carries every field of a Postgres error', async () => {
    const sql = connect()
    await sql`create table strict (id int primary key, price int check (price > 0))`
    const error = await sql`insert into strict values (1, -1)`.catch((failure: unknown) => failure)
    expect(error).toBeInstanceOf(NeonDbError)
    expect(error).toMatchObject({ code: '23514', severity: 'ERROR', schema: 'public', table: 'strict' })
    expect(error).toMatchObject({ constraint: 'strict_price_check', detail: expect.stringContaining('-1') })
    expect(error).toMatchObject({ file: expect.any(String), line: expect.any(String), routine: expect.any(String) })
    await expect(sql`select nope from strict`).rejects.toMatchObject({ code: '42703', position: '8' })
  })

  it('refuses several statements in one query', async () => {
    await expect(connect().query('select 1; select 2')).rejects.toMatchObject({ code: '42601' })
  })

  it('throws away a session that a query leaves inside a transaction', async () => {
    const sql = connect()
    await sql`create table left_open (id int)`
    await sql`begin`
    await sql`insert into left_open values (1)`
    const { rows } = await withPool(target(), (pool) => pool.query('select id from left_open'))
    expect(rows).toEqual([{ id: 1 }])
  })

  it('refuses a wrong password, an unknown user and a request without credentials', async () => {
    const { postgres } = target()
    const url = new URL(postgres.urlFor('postgres'))
    url.password = 'wrong'
    await expect(neon(url.href)`select 1`).rejects.toMatchObject({ code: '28P01' })
    url.username = 'constructor'
    await expect(neon(url.href)`select 1`).rejects.toMatchObject({ code: '28P01' })
    // More than there are places for connections of different users.
    for (let attempt = 0; attempt < 20; attempt += 1) {
      url.password = `wrong${attempt}`
      await expect(neon(url.href)`select 1`).rejects.toMatchObject({ code: '28P01' })
    }
    const response = await postSql(postgres, { query: 'select 1' }, { 'Neon-Connection-String': 'nonsense' })
    expect(response.status).toBe(400)
    await expect(connect()`select 1 as still`).resolves.toEqual([{ still: 1 }])
  })

  it('accepts JSON parameters and returns JSON values to a client that does not ask for text', async () => {
    const query = 'select $1::bool b, $2::int4 i, $3::jsonb j, $4::text[] t, $5::int8 l, $6::float8 f, $7::text n'
    const params = [true, 7, { a: 1 }, ['x', null, 'y"z'], 8, 'NaN', null]
    const response = await postSql(target().postgres, { query, params })
    const { rows } = (await response.json()) as { rows: unknown[] }
    expect(rows).toEqual([{ b: true, i: 7, j: { a: 1 }, t: ['x', null, 'y"z'], l: '8', f: 'NaN', n: null }])
    const raw = await postSql(
      target().postgres,
      { query, params },
      { 'Neon-Raw-Text-Output': 'true', 'Neon-Array-Mode': 'true' },
    )
    const { rows: texts } = (await raw.json()) as { rows: unknown[] }
    expect(texts).toEqual([['t', '7', '{"a": 1}', '{x,NULL,"y\\"z"}', '8', 'NaN', null]])
  })

  it.each([
    ['text that is not JSON', '{'],
    ['JSON of another shape', { sql: 'select 1' }],
    ['parameters that are not a list', { query: 'select 1', params: 'x' }],
  ])('answers 400 to %s', async (_name, body) => {
    const response = await postSql(target().postgres, body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ message: expect.any(String) })
  })

  it('answers 413 to a body and 507 to a result above its limits', async () => {
    const { postgres } = target()
    const body = await postSql(postgres, { query: 'select $1::text', params: ['x'.repeat(9_000_000)] })
    expect(body.status).toBe(413)
    const result = await postSql(postgres, { query: "select repeat('x', 1000) from generate_series(1, 9000)" })
    expect(result.status).toBe(507)
    expect((await postSql(postgres, { query: 'select 1' })).status).toBe(200)
  })

  it('answers 200 concurrent queries, each with its own result', async () => {
    const sql = connect()
    const numbers = Array.from({ length: 200 }, (_, index) => index)
    const rows = await Promise.all(
      numbers.map((number) => sql`select ${number}::int as number, ${`t${number}`} as text`),
    )
    expect(rows.flat()).toEqual(numbers.map((number) => ({ number, text: `t${number}` })))
  })

  it('counts the requests it serves', async () => {
    const { postgres } = target()
    const before = postgres.requests()
    await connect()`select 1`
    expect(postgres.requests()).toEqual({ http: before.http + 1, sockets: before.sockets })
  })

  it('says that it is healthy and answers 404 elsewhere', async () => {
    const { proxyUrl } = target().postgres
    const health = await fetch(`${proxyUrl}/health`)
    expect([health.status, await health.json()]).toEqual([200, expect.objectContaining({ status: 'ok' })])
    expect((await fetch(`${proxyUrl}/elsewhere`)).status).toBe(404)
    expect((await fetch(`${proxyUrl}/sql`)).status).toBe(404)
  })
}
