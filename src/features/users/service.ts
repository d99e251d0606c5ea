import { type SQL, sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import type { Deps } from '../../core/context.ts'
import { isRole, type Role } from '../../core/roles.ts'

/** What usernames and addresses are compared by. Normalised again at the end: J̌ has no composed form, ǰ is one. */
export const foldName = (text: string): string => text.normalize('NFKC').toLowerCase().normalize('NFKC').trim()

/** Without an @, so that it is never taken for somebody's address. */
export const Username = z
  .string()
  .min(3)
  .max(50)
  .regex(/^[A-Za-z0-9._-]+$/, 'may have letters, digits, dots, underscores and hyphens')

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const ADDRESS = new RegExp(`^[A-Za-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@${LABEL}(?:\\.${LABEL})*$`)

/** An address as mail systems really have them: ASCII, no quotes, no comments; other domains in their `xn--` form. */
export const Email = z.string().max(254).regex(ADDRESS, 'must be an e-mail address')

/** Someone who is signing in, whatever their state. Times in Unix seconds. */
export type Login = {
  id: string
  username: string
  email: string
  /** None for someone who signs in through another issuer only. */
  passwordHash: string | undefined
  isActive: boolean
  isOperator: boolean
  lockedUntil: number | undefined
}

/** Whose username or address this is. Throws `DependencyError('postgres')`. */
export async function findLogin({ db }: Pick<Deps, 'db'>, name: string): Promise<Login | undefined> {
  const [row] = await db.query(sql`select * from find_login(${foldName(name)})`)
  if (!row) return undefined
  return {
    id: String(row.id),
    username: String(row.username),
    email: String(row.email),
    passwordHash: row.password_hash === null ? undefined : String(row.password_hash),
    isActive: row.is_active === true,
    isOperator: row.is_operator === true,
    lockedUntil: row.locked_until === null ? undefined : Number(row.locked_until),
  }
}

/** SQLSTATE of a transaction that rested on a password which has been changed in the meantime. */
export const STALE_PASSWORD = 'HX412'

/**
 * For the first statement of a transaction that rests on a password of a member: ends it with `STALE_PASSWORD` unless
 * that is still what was checked, and keeps it so until the end. Without a hash it rests on none.
 */
export const stillHasPassword = (userId: string, passwordHash: string | undefined): SQL =>
  passwordHash === undefined
    ? sql`select require(true, ${STALE_PASSWORD})`
    : sql`select require(exists(
        select from users where id = ${userId} and password_hash = ${passwordHash} for no key update
      ), ${STALE_PASSWORD})`

export type Membership = {
  orgId: string
  orgName: string
  orgSlug: string
  plan: string
  role: Role
  /** False while the membership or its organisation is suspended. */
  isLive: boolean
}

/** A person's memberships in organisations that are not deleted, the oldest first. Throws `DependencyError('postgres')`. */
export async function findMemberships({ db }: Pick<Deps, 'db'>, userId: string): Promise<Membership[]> {
  const rows = await db.query(sql`select * from find_memberships(${userId})`)
  return rows.map((row) => ({
    orgId: String(row.org_id),
    orgName: String(row.org_name),
    orgSlug: String(row.org_slug),
    plan: String(row.plan),
    role: isRole(row.role) ? row.role : 'readonly',
    isLive: row.is_live === true,
  }))
}

export type NewAccount = {
  id: string
  username: string
  email: string
  /** A PHC string; null for someone who signs in through another issuer only. */
  passwordHash: string | null
  /** Unix seconds; null while nobody has answered from the address. */
  verifiedAt: number | null
  /** Unix seconds. */
  now: number
}

/** Makes a person, for `query.execute`. A name or address that is taken ends the transaction with 23505. */
export function createUserStatement({ id, username, email, passwordHash, verifiedAt, now }: NewAccount): SQL {
  return sql`select create_user(
    ${id}, ${username}, ${foldName(username)}, ${email}, ${foldName(email)}, ${passwordHash}, ${verifiedAt}, ${now}
  )`
}
