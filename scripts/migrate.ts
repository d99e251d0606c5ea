/**
 * Brings the database to this release's schema: `npm run migrate`.
 *
 * With DATABASE_ADMIN_URL (needed the first time, and whenever a password changes) it first makes the three roles and
 * sets their passwords from DATABASE_OWNER_URL, DATABASE_URL and DATABASE_SYSTEM_URL; then the owner's migrations run,
 * and the prices of this release's catalog become rows.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Pool } from '@neondatabase/serverless'
import { drizzle } from 'drizzle-orm/neon-serverless'
import { migrate as runMigrations } from 'drizzle-orm/neon-serverless/migrator'
import { writePrices } from './catalog/write-prices.ts'
import { requireVariable, withDatabase } from './database.ts'

export type DatabaseUrls = {
  /** May create roles; undefined when they exist already. */
  adminUrl: string | undefined
  ownerUrl: string
  appUrl: string
  systemUrl: string
  proxyUrl: string | undefined
}

const folder = join(import.meta.dirname, '../drizzle')

export async function migrate(
  { adminUrl, ownerUrl, appUrl, systemUrl, proxyUrl }: DatabaseUrls,
  migrationsFolder = folder,
): Promise<void> {
  if (adminUrl !== undefined) {
    await withDatabase({ url: adminUrl, proxyUrl }, async (pool) => {
      await pool.query(await readFile(`${folder}/roles.sql`, 'utf8'))
      for (const url of [ownerUrl, appUrl, systemUrl]) await setPassword(pool, url)
    })
  }
  await withDatabase({ url: ownerUrl, proxyUrl }, async (pool) => {
    await runMigrations(drizzle({ client: pool }), { migrationsFolder })
    await checkRole(pool, appUrl)
    await writePrices(pool)
  })
}

/** A role made in a hosting console may pass row-level security by: then nothing would keep organisations apart. */
async function checkRole(pool: Pool, appUrl: string): Promise<void> {
  const name = decodeURIComponent(new URL(appUrl).username)
  const { rows } = await pool.query<{ bypasses: boolean; owns: boolean }>(
    `select rolbypassrls or rolsuper as bypasses, exists (select from pg_tables where tableowner = $1) as owns
     from pg_roles where rolname = $1`,
    [name],
  )
  const [role] = rows
  if (!role) throw new Error(`The role ${name} of DATABASE_URL does not exist: run this once with DATABASE_ADMIN_URL.`)
  if (role.bypasses || role.owns) {
    throw new Error(`The role ${name} of DATABASE_URL bypasses row-level security or owns tables. Use helix_app.`)
  }
}

/** Postgres itself quotes the name and the password. */
async function setPassword(pool: Pool, url: string): Promise<void> {
  const { username, password } = new URL(url)
  const { rows } = await pool.query<{ statement: string }>(
    `select format('alter role %I login password %L', $1::text, $2::text) as statement`,
    [decodeURIComponent(username), decodeURIComponent(password)],
  )
  if (rows[0]) await pool.query(rows[0].statement)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await migrate({
    adminUrl: process.env.DATABASE_ADMIN_URL || undefined,
    ownerUrl: requireVariable('DATABASE_OWNER_URL'),
    appUrl: requireVariable('DATABASE_URL'),
    systemUrl: requireVariable('DATABASE_SYSTEM_URL'),
    proxyUrl: process.env.NEON_PROXY_URL || undefined,
  })
  console.log('The database is up to date.')
}
