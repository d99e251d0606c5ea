import type { Pool } from '@neondatabase/serverless'
import { openPool } from '../../scripts/database.ts'
import { type Started, startCopy } from './postgres-copies.ts'

/** The roles' rows are no secret here, and nobody else may tell whether they changed. */
const superuser = 'postgres'

/** What the migrations leave rows in: these have to be as they were, all others have to be empty. */
const seeded = ['drizzle.__drizzle_migrations', 'public.prices']

/** Ours begin here; what is below came with Postgres. */
const FIRST_OWN_OID = 16384

/** Whatever a file of tests may leave behind other than rows. */
const rowsOfCatalogs = [
  `select (relname, relkind, relacl, relowner, relrowsecurity, relforcerowsecurity, reloptions)::text
   from pg_class where oid >= ${FIRST_OWN_OID} and relkind <> 't'`,
  ...Object.entries({ pg_attribute: 'attrelid', pg_index: 'indexrelid', pg_statistic: 'starelid' }).map(
    ([catalog, id]) => `select one::text from ${catalog} one where ${id} >= ${FIRST_OWN_OID}`,
  ),
  ...['pg_proc', 'pg_trigger', 'pg_constraint', 'pg_policy', 'pg_namespace'].map(
    (catalog) => `select one::text from ${catalog} one where oid >= ${FIRST_OWN_OID}`,
  ),
  ...['pg_authid', 'pg_auth_members', 'pg_db_role_setting', 'pg_extension', 'pg_sequences', ...seeded].map(
    (whole) => `select one::text from ${whole} one`,
  ),
]

const fingerprintQuery = `select md5(string_agg(md5(row), '' order by md5(row))) as fingerprint
  from (${rowsOfCatalogs.join(' union all ')}) as rows (row)`

type Shared = { started: Started; tables: string[]; fingerprint: string }

let shared: Shared | undefined
let isLent = false

/**
 * A Postgres with this release's schema and no rows of anybody, as a copy of one's own would be, but the files that
 * follow each other in a process take turns on one: a copy takes a second and more to make, to start and to remove.
 * Whoever asks for a second one meanwhile gets a copy.
 */
export async function borrowPostgres(snapshots: string): Promise<Started> {
  if (isLent) return startCopy(snapshots)
  isLent = true
  if (shared && !(await isAlive(shared))) await forget(shared)
  const lent = shared ?? (await openShared(snapshots))
  shared = lent
  return { server: lent.started.server, end: () => takeBack(lent) }
}

/** What a file did to the timers of its process may have ended it since. */
const isAlive = ({ started }: Shared): Promise<boolean> =>
  asSuperuser(started, (pool) => pool.query('select 1')).then(
    () => true,
    () => false,
  )

async function openShared(snapshots: string): Promise<Shared> {
  const started = await startCopy(snapshots)
  return asSuperuser(started, async (pool) => {
    const { rows } = await pool.query<{ name: string }>(
      `select relnamespace::regnamespace || '.' || relname as name from pg_class where oid >= ${FIRST_OWN_OID} and relkind = 'r'`,
    )
    const tables = rows.map(({ name }) => name).filter((name) => !seeded.includes(name))
    return { started, tables, fingerprint: await fingerprintOf(pool) }
  })
}

/** Where anything but rows is not as it was, or something went wrong, the next one gets another Postgres. */
async function takeBack(lent: Shared): Promise<void> {
  const isAsBefore = await asSuperuser(lent.started, async (pool) => {
    await removeRows(pool, lent.tables)
    return (await fingerprintOf(pool)) === lent.fingerprint
  }).catch(() => false)
  if (!isAsBefore) await forget(lent)
  isLent = false
}

async function forget({ started }: Shared): Promise<void> {
  shared = undefined
  await started.end()
}

/** Rows are deleted: to truncate a table takes all that refer to it, and a new file for each of them and their indexes. */
async function removeRows(pool: Pool, tables: readonly string[]): Promise<void> {
  const any = tables.map((name) => `select '${name}' as name where exists (select from ${name})`)
  const { rows } = await pool.query<{ name: string }>(any.join(' union all '))
  if (rows.length === 0) return
  const full = rows.map(({ name }) => name)
  // No trigger refuses it, and no row misses the one that it refers to.
  const deletions = full.map((name) => `delete from ${name};`).join(' ')
  await pool.query(`begin; set local session_replication_role = replica; ${deletions} commit`)
  await pool.query(`vacuum ${full.join(', ')}`)
}

async function fingerprintOf(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ fingerprint: string }>(fingerprintQuery)
  return rows[0]?.fingerprint ?? ''
}

async function asSuperuser<T>({ server }: Started, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = openPool({ url: server.urlFor(superuser), proxyUrl: server.proxyUrl })
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}
