import { and, asc, desc, eq, gt, inArray, isNull, lt } from 'drizzle-orm'
import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { type Role, reaches, roles } from '../../core/roles.ts'
import type { PageQuery } from '../../http/page.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { invitations, memberships, users } from '../users/table.ts'
import { endAccess, findAccess, markAll, STALE, type Standing, stands } from './access.ts'
import { actingRole, mayGrant, mayTouch } from './rules.ts'

const rowOf = {
  id: memberships.user_id,
  username: users.username,
  email: users.email,
  email_verified_at: users.email_verified_at,
  display_name: users.display_name,
  role: memberships.role,
  is_active: memberships.is_active,
  invited_by: memberships.invited_by,
  joined_at: memberships.created_at,
  created_at: users.created_at,
}

const people = (query: QueryBuilder) =>
  query.select(rowOf).from(memberships).innerJoin(users, eq(users.id, memberships.user_id))

/** People of the caller's organisation, one more than asked for, by the time at which their account was made. */
export async function listPeople({ db, caller: { orgId } }: Ctx, { limit, after, order }: PageQuery) {
  const [rows] = await db.atomically(orgId, (query) => [
    people(query)
      .where(
        and(
          eq(memberships.org_id, orgId),
          after === undefined ? undefined : (order === 'asc' ? gt : lt)(memberships.user_id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(memberships.user_id))
      .limit(limit + 1),
  ])
  return rows.map(withVerified)
}

/** One of them. Throws 404. */
export async function findPerson({ db, caller: { orgId } }: Ctx, userId: string) {
  const [[row]] = await db.atomically(orgId, (query) => [
    people(query).where(and(eq(memberships.org_id, orgId), eq(memberships.user_id, userId))),
  ])
  if (!row) throw notFound('member')
  return withVerified(row)
}

export type Person = Awaited<ReturnType<typeof findPerson>>

const withVerified = <Row extends { email_verified_at: number | null }>(row: Row) => ({
  ...row,
  email_verified: row.email_verified_at !== null,
})

const standingOf = ({ role, is_active }: Person): Standing => ({ role, isActive: is_active })

const isOf = (orgId: string, userId: string) => and(eq(memberships.org_id, orgId), eq(memberships.user_id, userId))

/** Gives a member another role. Throws 403 and 404, and 409 for the last owner. */
export async function changeRole(ctx: Ctx, userId: string, role: Role): Promise<Person> {
  const person = await findPerson(ctx, userId)
  checkMayTouch(ctx, person)
  if (!mayGrant(ctx.caller, role)) throw forbidden('Nobody grants a role above their own.')
  const { orgId } = ctx.caller
  const whose = whoseOf(ctx, userId)
  const audit = await personRow(ctx, person, { action: 'member.role', after: { ...standingOf(person), role } })
  const [, , , sessions, keys] = await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(stands(orgId, userId, standingOf(person))),
      endInvitations(query, orgId, userId, role),
      query.update(memberships).set({ role, updated_at: whose.now }).where(isOf(orgId, userId)),
      ...findAccess(query, whose),
      query.insert(auditLog).values(audit),
    ]),
  )
  await markAll(ctx, sessions, keys)
  return { ...person, role }
}

/** Ends or restores what a member may do here. Throws 403 and 404, and 409 for the last owner. */
export async function changeActive(ctx: Ctx, userId: string, isActive: boolean): Promise<Person> {
  const person = await findPerson(ctx, userId)
  checkMayTouch(ctx, person)
  const { orgId } = ctx.caller
  const whose = whoseOf(ctx, userId)
  const action = isActive ? 'member.activate' : 'member.deactivate'
  const audit = await personRow(ctx, person, { action, after: { ...standingOf(person), isActive } })
  const [, , , sessions, keys] = await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(stands(orgId, userId, standingOf(person))),
      endInvitations(query, orgId, userId, isActive ? person.role : undefined),
      query.update(memberships).set({ is_active: isActive, updated_at: whose.now }).where(isOf(orgId, userId)),
      ...(isActive ? findAccess(query, whose) : endAccess(query, whose)),
      query.insert(auditLog).values(audit),
    ]),
  )
  await markAll(ctx, sessions, keys)
  return { ...person, is_active: isActive }
}

/** Takes a member out of the organisation. Throws 403 and 404, and 409 for the last owner. */
export async function removeMember(ctx: Ctx, userId: string): Promise<undefined> {
  const person = await findPerson(ctx, userId)
  checkMayTouch(ctx, person)
  await remove(ctx, person, 'member.remove')
}

/** The caller leaves. Throws 409 for the last owner. */
export async function leave(ctx: Ctx): Promise<undefined> {
  const { userId } = ctx.caller
  if (userId === undefined) throw notFound('member')
  await remove(ctx, await findPerson(ctx, userId), 'member.leave')
}

async function remove(ctx: Ctx, person: Person, action: string): Promise<void> {
  const { orgId } = ctx.caller
  const whose = whoseOf(ctx, person.id)
  const audit = await personRow(ctx, person, { action })
  const [, , , sessions, keys] = await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(stands(orgId, person.id, standingOf(person))),
      endInvitations(query, orgId, person.id, undefined),
      query.delete(memberships).where(isOf(orgId, person.id)),
      ...endAccess(query, whose),
      query.insert(auditLog).values(audit),
    ]),
  )
  await markAll(ctx, sessions, keys)
}

const forbidden = (message: string) => new AppError('permission_denied', message)

function checkMayTouch({ caller }: Ctx, { role }: Person): void {
  if (!mayTouch(actingRole(caller), role)) throw forbidden('Nobody changes someone whose role is above their own.')
}

const whoseOf = ({ caller: { orgId }, now }: Ctx, userId: string) => ({ orgId, userId, now: secondsOf(now()) })

/**
 * Open invitations end with the power to make them: those to a role that their maker may no longer grant. Comes before
 * what locks the organisation's row, as in an acceptance: the two never wait for each other.
 */
function endInvitations(query: QueryBuilder, orgId: string, userId: string, role: Role | undefined) {
  const beyond = roles.filter((one) => role === undefined || !reaches(role, one))
  return query
    .delete(invitations)
    .where(
      and(
        eq(invitations.org_id, orgId),
        eq(invitations.invited_by, userId),
        isNull(invitations.accepted_at),
        inArray(invitations.role, beyond),
      ),
    )
}

function personRow(ctx: Ctx, person: Person, { action, after }: { action: string; after?: Standing }) {
  const before = standingOf(person)
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'user', id: person.id },
    before,
    after,
    details: {
      before: { role: before.role, is_active: before.isActive },
      ...(after && { after: { role: after.role, is_active: after.isActive } }),
    },
  })
}

/** What Postgres refused, as its caller is told. */
async function settling<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === 'HX409') throw new AppError('conflict', 'An organisation keeps at least one active owner.')
    if (state === STALE) throw new AppError('conflict', 'The member was changed at the same time. Try again.')
    throw error
  }
}
