import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { neon, Pool } from '@neondatabase/serverless'
import { Client as TcpClient } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type LocalPostgres, startPostgres } from '../../../scripts/local/postgres/server.ts'
import { copyUnused } from '../../support/postgres-copies.ts'
import { useDriver } from './target.ts'

/** What only the embedded Postgres does: one backend, one folder, one thread that can be replaced. */
describe('the limits of the embedded Postgres', { timeout: 60_000 }, () => {
  const users = { postgres: 'secret', not_migrated: 'secret' }
  const statementTimeoutMs = 1500
  let folder = ''
  let postgres: LocalPostgres

  const start = async () => {
    const options = { dataDir: join(folder, 'data'), users, statementTimeoutMs, idleInTransactionMs: 800, tcpPort: 0 }
    const started = await startPostgres(options)
    useDriver(started)
    return started
  }
  const connect = () => neon(postgres.urlFor('postgres'))
  const openTcp = async (): Promise<TcpClient> => {
    const client = new TcpClient({ connectionString: postgres.urlFor('postgres') })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  /** Another process that opens the folder, inserts a row, says so and goes on with `ending`. */
  const startProcess = (id: number, ending: string) => {
    const server = join(import.meta.dirname, '../../../scripts/local/postgres/server.ts')
    const program = `
      import { neon, neonConfig } from '@neondatabase/serverless'
      import { startPostgres } from ${JSON.stringify(server)}
      const postgres = await startPostgres(${JSON.stringify({ dataDir: join(folder, 'data'), users, tcpPort: 0 })})
      neonConfig.fetchEndpoint = postgres.proxyUrl + '/sql'
      await neon(postgres.urlFor('postgres')).query('insert into kept values (${id})')
      console.log('inserted')
      ${ending}`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program])
    let output = ''
    child.stdout.on('data', (text) => {
      output += String(text)
    })
    return { child, exit: once(child, 'exit'), output: () => output }
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'local-postgres-'))
    await copyUnused(inject('snapshotFolder'), join(folder, 'data'))
    postgres = await start()
  }, 60_000)
  afterAll(async () => {
    await postgres.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('ends a statement that runs too long, and the data survives the restart', async () => {
    const sql = connect()
    await sql`create table kept (id int)`
    await sql`insert into kept values (1)`
    const bystander = await openTcp()
    const lost = new Promise<Error>((resolve) => bystander.once('error', resolve))
    const endless = sql`select count(*) from generate_series(1, 1000000000)`
    await expect(endless).rejects.toMatchObject({ code: '57014', message: expect.stringContaining('1500 ms') })
    expect(await lost).toMatchObject({ code: '57P01', message: expect.stringContaining('connect again') })
    expect(await sql`select id from kept`).toEqual([{ id: 1 }])
    const again = await openTcp()
    expect((await again.query('select id from kept')).rows).toEqual([{ id: 1 }])
    await again.end()
  })

  it('tells waiting sessions that the backend was restarted', async () => {
    const [busy, waiting] = [await openTcp(), await openTcp()]
    const endless = busy.query('select count(*) from generate_series(1, 1000000000)')
    const behind = waiting.query('select 1')
    await expect(endless).rejects.toMatchObject({ code: '57014' })
    await expect(behind).rejects.toMatchObject({ code: '57P01', message: expect.stringContaining('connect again') })
    expect(await connect()`select 1 as one`).toEqual([{ one: 1 }])
  })

  it('rolls back a transaction that waits for its client, and says why', async () => {
    const pool = new Pool({ connectionString: postgres.urlFor('postgres') })
    pool.on('error', () => undefined)
    const client = await pool.connect()
    const ended = new Promise<Error>((resolve) => client.on('error', resolve))
    await client.query('begin')
    await client.query('insert into kept values (2)')
    // Waits for the transaction, which waits for this query's caller: the limit breaks the circle.
    expect(await connect()`select id from kept`).toEqual([{ id: 1 }])
    expect(await ended).toMatchObject({ code: '25P03', message: expect.stringContaining('HTTP') })
    client.release(true)
    await pool.end()
  })

  it('names the role that no migration has made', async () => {
    const query = neon(postgres.urlFor('not_migrated'))`select 1`
    await expect(query).rejects.toMatchObject({ code: '28000', message: expect.stringContaining('"not_migrated"') })
    await expect(query).rejects.toThrow('migrations')
    await connect()`create role not_migrated`
    const [row] = await neon(postgres.urlFor('not_migrated'))`select current_user as who`
    expect(row).toEqual({ who: 'not_migrated' })
  })

  it('refuses COPY from the client without losing the session', async () => {
    const client = await openTcp()
    await expect(client.query('copy kept from stdin')).rejects.toThrow('COPY FROM STDIN is not supported')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  it('resets settings and prepared statements when a session ends', async () => {
    const client = await openTcp()
    await client.query("set work_mem = '123kB'")
    await client.query({ name: 'mine', text: 'select 1' })
    await client.end()
    const [row] = await connect()`
      select current_setting('work_mem') as memory,
             (select count(*)::int from pg_prepared_statements where name <> '') as statements`
    expect(row).toEqual({ memory: '4MB', statements: 0 })
  })

  it('refuses a folder that is in use, naming the pid and the folder', async () => {
    const path = join(folder, 'data')
    const refusal = `The Postgres data in ${path} is in use by this process (pid ${process.pid})`
    await expect(startPostgres({ dataDir: path, users })).rejects.toThrow(refusal)
    expect(await connect()`select 1 as one`).toEqual([{ one: 1 }])
  })

  it('keeps the data over a close and frees the folder', async () => {
    await postgres.close()
    expect(existsSync(join(folder, 'data.lock'))).toBe(false)
    expect(JSON.parse(await readFile(join(folder, 'data.version.json'), 'utf8'))).toEqual({ postgres: 18 })
    await expect(fetch(postgres.proxyUrl)).rejects.toThrow()
    postgres = await start()
    expect(await connect()`select id from kept`).toEqual([{ id: 1 }])
  })

  it('leaves no process behind when it is closed, and keeps what was acknowledged when it is killed', async () => {
    await postgres.close()
    const orderly = startProcess(2, 'await postgres.close()')
    expect(await orderly.exit).toEqual([0, null])
    expect(orderly.output()).toBe('inserted\n')
    const killed = startProcess(3, '')
    await once(killed.child.stdout, 'data')
    killed.child.kill('SIGKILL')
    expect(await killed.exit).toEqual([null, 'SIGKILL'])
    postgres = await start()
    // The first statement after a crash also recovers, which a busy machine may not do within the limit of a statement.
    const kept = () => connect()`select id from kept order by id`.catch(String)
    await expect.poll(kept, { timeout: 20_000 }).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
  })

  it.each([
    ['not a Postgres folder', 'photo.jpg', 'is not a Postgres data folder'],
    ['data of another Postgres', 'PG_VERSION', 'was written by Postgres 15'],
  ])('explains in a sentence that it met %s', async (_name, file, sentence) => {
    const path = await mkdtemp(join(folder, 'foreign-'))
    await writeFile(join(path, file), '15\n')
    await expect(startPostgres({ dataDir: path, users })).rejects.toThrow(sentence)
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it('explains in a sentence that the data is broken', async () => {
    const path = await mkdtemp(join(folder, 'broken-'))
    await writeFile(join(path, 'PG_VERSION'), '18\n')
    await mkdir(join(path, 'global'))
    await writeFile(join(path, 'global', 'pg_control'), 'nothing useful')
    await expect(startPostgres({ dataDir: path, users })).rejects.toThrow(/^The Postgres data in .* cannot be opened/)
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it('explains that a port is in use', async () => {
    const port = Number(new URL(postgres.proxyUrl).port)
    const upstream = 'postgres://127.0.0.1:1/none'
    await expect(startPostgres({ upstream, users, port })).rejects.toThrow(`Port ${port} on 127.0.0.1 is in use`)
  })

  it('has no connection string for an unknown user', () => {
    expect(() => postgres.urlFor('nobody')).toThrow('There is no user "nobody"')
  })
})
