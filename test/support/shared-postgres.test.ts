import type { Pool } from '@neondatabase/serverless'
import { expect, inject, it } from 'vitest'
import { openPool } from '../../scripts/database.ts'
import { insert } from '../../scripts/seed.ts'
import { borrowPostgres } from './shared-postgres.ts'

/** Works on a borrowed Postgres, and tells which one that was. */
async function withBorrowed(work: (pool: Pool) => Promise<void>): Promise<string> {
  const { server, end } = await borrowPostgres(inject('snapshotFolder'))
  const pool = openPool({ url: server.urlFor('postgres'), proxyUrl: server.proxyUrl })
  await work(pool)
  await pool.end()
  await end()
  return server.proxyUrl
}

const rowsOf = async (pool: Pool, table: string) => Number((await pool.query(`select from ${table}`)).rowCount)

it('gives the next file the same Postgres without rows, and another one where more than rows has changed', async () => {
  const first = await withBorrowed(async (pool) => {
    const { orgId } = await insert(pool, 'pepper', { name: 'Before' })
    await pool.query(
      `insert into audit_log (id, org_id, actor_kind, action, created_at) values ('aud_1', $1, 'user', 'a.b', 1)`,
      [orgId],
    )
  })
  const second = await withBorrowed(async (pool) => {
    for (const table of ['orgs', 'api_keys', 'audit_log', 'audit_heads']) expect(await rowsOf(pool, table)).toBe(0)
    expect(await rowsOf(pool, 'prices')).toBeGreaterThan(0)
    await pool.query('alter table audit_log disable trigger user')
  })
  expect(second).toBe(first)
  expect(await withBorrowed(async () => {})).not.toBe(second)
})

it('gives a copy to whoever asks while it is lent', async () => {
  const folder = inject('snapshotFolder')
  const borrowed = await Promise.all([borrowPostgres(folder), borrowPostgres(folder)])
  expect(new Set(borrowed.map(({ server }) => server.proxyUrl)).size).toBe(2)
  await Promise.all(borrowed.map(({ end }) => end()))
})
