import { Client, neon } from '@neondatabase/serverless'
import { expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { type Target, withPool } from './target.ts'

/** The Postgres protocol over WebSocket, checked with the real driver. */
export function describeSessions(target: () => Target): void {
  const connect = () => neon(target().postgres.urlFor('postgres'))

  it('runs an interactive transaction with savepoints', async () => {
    const sql = connect()
    await sql`create table saved (id int primary key)`
    await withPool(target(), async (pool) => {
      const client = await pool.connect()
      await client.query('begin')
      await client.query('insert into saved values (1)')
      await client.query('savepoint here')
      await expect(client.query('insert into saved values (1)')).rejects.toMatchObject({ code: '23505' })
      await client.query('rollback to savepoint here')
      const { rows } = await client.query('insert into saved values ($1) returning id', [2])
      expect(rows).toEqual([{ id: 2 }])
      await client.query('commit')
      await client.query('begin')
      await client.query('delete from saved')
      await client.query('rollback')
      client.release()
    })
    expect(await sql`select id from saved order by id`).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('lets 20 concurrent transactions increment one row without losing any', async () => {
    const sql = connect()
    await sql`create table counter (id int primary key, value int not null)`
    await sql`insert into counter values (1, 0)`
    await withPool(
      target(),
      async (pool) => {
        const increment = async () => {
          const client = await pool.connect()
          await client.query('begin')
          const { rows } = await client.query('select value from counter where id = 1 for update')
          await client.query('update counter set value = $1 where id = 1', [rows[0].value + 1])
          await client.query('commit')
          client.release()
        }
        await Promise.all(Array.from({ length: 20 }, increment))
      },
      { max: 20 },
    )
    expect(await sql`select value from counter`).toEqual([{ value: 20 }])
  })

  it('keeps prepared statements of the same name apart', async () => {
    await withPool(
      target(),
      async (pool) => {
        const clients = await Promise.all(Array.from({ length: 8 }, () => pool.connect()))
        const ask = async (round: number) =>
          Promise.all(
            clients.map(async (client, index) => {
              const text = `select ${index}::int as own, $1::int as round`
              const { rows } = await client.query({ name: 'same', text, values: [round] })
              return rows[0]
            }),
          )
        for (const round of [1, 2]) expect(await ask(round)).toEqual(clients.map((_, own) => ({ own, round })))
        for (const client of clients) client.release()
      },
      { max: 8 },
    )
  })

  it('rolls back when a client dies inside a transaction', async () => {
    const sql = connect()
    await sql`create table abandoned (id int)`
    const sockets: WebSocket[] = []
    class WatchedWebSocket extends WebSocket {
      constructor(address: string) {
        super(address)
        sockets.push(this)
      }
    }
    const client = new Client(target().postgres.urlFor('postgres'))
    client.on('error', () => undefined)
    client.neonConfig.webSocketConstructor = WatchedWebSocket
    await client.connect()
    await client.query('begin')
    await client.query('lock table abandoned')
    await client.query('insert into abandoned values (1)')
    expect(sockets).toHaveLength(1)
    for (const socket of sockets) socket.terminate()
    expect(await sql`select count(*)::int as rows from abandoned`).toEqual([{ rows: 0 }])
  })

  it('carries 2 MB parameters in both directions', async () => {
    const text = 'ä'.repeat(1_000_000)
    await withPool(target(), async (pool) => {
      const { rows } = await pool.query('select $1::text as text, length($1::text) as length', [text])
      expect(rows[0].length).toBe(1_000_000)
      expect(rows[0].text === text).toBe(true)
    })
    const [row] = await connect()`select ${text}::text as text`
    expect(row?.text === text).toBe(true)
  })

  it('does not mix up 10 connections that send 300 KB parameters at the same time', async () => {
    await withPool(
      target(),
      async (pool) => {
        const ask = async (index: number) => {
          const fill = String.fromCharCode(97 + (index % 10)).repeat(300_000)
          const query = 'select $1::int as number, left($2::text, 1) as fill, length($2::text) as length'
          const { rows } = await pool.query(query, [index, fill])
          return rows[0]
        }
        const numbers = Array.from({ length: 100 }, (_, index) => index)
        const expected = numbers.map((number) => ({ number, fill: 'abcdefghij'[number % 10], length: 300_000 }))
        expect(await Promise.all(numbers.map(ask))).toEqual(expected)
      },
      { max: 10 },
    )
  })

  it('refuses a wrong password', async () => {
    const url = new URL(target().postgres.urlFor('postgres'))
    url.password = 'wrong'
    const client = new Client(url.href)
    client.on('error', () => undefined)
    // The driver sends its password and goes on: the refusal arrives with the first query.
    const query = client.connect().then(() => client.query('select 1'))
    await expect(query).rejects.toMatchObject({ code: '28P01' })
  })

  it('keeps a role chosen with SET ROLE until the session ends', async () => {
    await withPool(
      target(),
      async (pool) => {
        const client = await pool.connect()
        await client.query('set role helix_owner')
        await connect()`select 1`
        expect((await client.query('select current_user')).rows).toEqual([{ current_user: 'helix_owner' }])
        await client.query('reset role')
        expect((await client.query('select current_user')).rows).toEqual([{ current_user: 'postgres' }])
        client.release()
      },
      { max: 1 },
    )
  })

  it('ignores the address that a client asks for', async () => {
    const { host } = new URL(target().postgres.proxyUrl)
    const client = new Client(target().postgres.urlFor('postgres'))
    client.neonConfig.wsProxy = () => `${host}/v1?address=192.0.2.1:5432`
    await client.connect()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  it('counts the sessions it serves', async () => {
    const before = target().postgres.requests()
    await withPool(target(), (pool) => pool.query('select 1'))
    expect(target().postgres.requests()).toEqual({ http: before.http, sockets: before.sockets + 1 })
  })

  it('lets psql-like clients in over TCP', async () => {
    const { Client: TcpClient } = await import('pg')
    const url = new URL(target().postgres.urlFor('helix_app'))
    url.port = String(target().postgres.tcpPort)
    const client = new TcpClient({ connectionString: url.href })
    const ended = vi.fn()
    client.on('end', ended)
    await client.connect()
    expect((await client.query('select current_user')).rows).toEqual([{ current_user: 'helix_app' }])
    await client.end()
    expect(ended).toHaveBeenCalled()
  })
}
