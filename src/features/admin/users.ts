import { sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type Row, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { auditLog } from '../audit/service.ts'
import { findAccess, markAll } from '../members/service.ts'
import { revokeSessions } from '../sessions/service.ts'
import { findMemberships } from '../users/service.ts'
import { type Search, User, type UserPatch } from './schema.ts'
import { type Act, noteAtHome, rowIn } from './trail.ts'

/** People of the installation, one more than asked for. */
export async function listUsers(ctx: Ctx, { limit, after, search }: Search): Promise<User[]> {
  await noteAtHome(ctx, { action: 'admin.users.list', details: { search, after } })
  const rows = await ctx.db.query(sql`select * from admin_users(${search ?? null}, ${after ?? null}, ${limit + 1})`)
  return rows.map(userOf)
}

const userOf = (row: Row): User =>
  User.parse({
    ...row,
    email_verified: row.email_verified_at !== null,
    last_login_at: row.last_login_at === null ? null : Number(row.last_login_at),
    created_at: Number(row.created_at),
  })

/** Throws 404. */
async function findUser({ db }: Ctx, id: string): Promise<User> {
  const [row] = await db.query(sql`select * from admin_users(${id}, null, 2147483647) where id = ${id}`)
  if (!row) throw notFound('user')
  return userOf(row)
}

/**
 * Lets somebody act or not, anywhere, and makes operators. A deactivation ends every session; keys rest until it is
 * taken back. Throws 404, and 409 for the last operator.
 */
export async function changeUser(ctx: Ctx, id: string, change: UserPatch): Promise<User> {
  const before = await findUser(ctx, id)
  const after = {
    ...before,
    is_active: change.is_active ?? before.is_active,
    is_operator: change.is_operator ?? before.is_operator,
  }
  const [was, is] = [stateOf(before), stateOf(after)]
  const act = {
    action: 'admin.user.update',
    target: { kind: 'user', id },
    before: was,
    after: is,
    details: { before: was, after: is },
  }
  await settle(ctx, id, { change, act })
  if (change.is_active === false) await revokeSessions(ctx, { userId: id })
  await tellTheirs(ctx, id, act)
  return after
}

const stateOf = ({ is_active, is_operator }: User) => ({ is_active, is_operator })

/** The change itself, and its row in the operator's organisation. */
async function settle(ctx: Ctx, id: string, { change, act }: { change: UserPatch; act: Act }): Promise<void> {
  const now = nowSeconds(ctx)
  const row = await rowIn(ctx, ctx.caller.orgId, act)
  const { is_active: isActive = null, is_operator: isOperator = null } = change
  try {
    await ctx.db.atomically(ctx.caller.orgId, (query) => [
      query.execute(sql`select require(admin_update_user(${id}, ${isActive}, ${isOperator}, ${now}), 'HX404')`),
      query.insert(auditLog).values(row),
    ])
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === 'HX404') throw notFound('user')
    if (state === 'HX409') throw new AppError('conflict', 'An installation keeps at least one active operator.')
    throw error
  }
}

/** Rows in the organisations of the person, whose sessions and keys there are looked at anew. */
async function tellTheirs(ctx: Ctx, userId: string, act: Act): Promise<void> {
  const now = nowSeconds(ctx)
  const memberships = await findMemberships(ctx, userId)
  for (const { orgId } of memberships) {
    const row = await rowIn(ctx, orgId, act)
    const notes = orgId === ctx.caller.orgId ? [] : [row]
    const [sessions, keys] = await ctx.db.atomically(orgId, (query) => [
      ...findAccess(query, { orgId, userId, now }),
      ...notes.map((note) => query.insert(auditLog).values(note)),
    ])
    await markAll(ctx, sessions, keys)
  }
}
