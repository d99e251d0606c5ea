import { and, asc, desc, eq, gt, isNull, lt, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import type { Role } from '../../core/roles.ts'
import { hashSecretToken, newSecretToken } from '../../core/secret-token.ts'
import type { PageQuery } from '../../http/page.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { foldName } from '../users/service.ts'
import { invitations, memberships, users } from '../users/table.ts'
import { STALE } from './access.ts'
import { invitationMail } from './mails.ts'
import { actingRole, mayGrant, mayTouch } from './rules.ts'
import { MAX_MEMBERS } from './schema.ts'

const LIFE_SECONDS = 7 * 24 * 3600

type Invitation = typeof invitations.$inferInsert & { invited_by: string | null }

/**
 * Invites an address, by a mail that leaves before this answers: without it there is no invitation either. An earlier
 * invitation of the same address ends. Throws 403, 409, 429 and 503.
 */
export async function invite(ctx: Ctx, wanted: { email: string; role: Role }): Promise<Invitation> {
  const { caller, db } = ctx
  if (!mayGrant(caller, wanted.role)) {
    throw new AppError('permission_denied', 'Nobody grants a role above their own.')
  }
  const now = nowSeconds(ctx)
  const email = foldName(wanted.email)
  const org = await checkRoom(ctx, email)
  await takeMail(ctx, email)
  const token = newSecretToken('hxi')
  const row: Invitation = {
    id: ctx.newId('inv'),
    org_id: caller.orgId,
    email,
    role: wanted.role,
    token_hash: await hashSecretToken(token),
    invited_by: caller.userId ?? null,
    expires_at: now + LIFE_SECONDS,
    created_at: now,
    updated_at: now,
  }
  const audit = await invitationRow(ctx, row, 'invitation.create')
  await settling(
    db.atomically(caller.orgId, (query) => [
      // Whoever invites at the same time waits here, so that all of them are counted.
      query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, caller.orgId)).for('update'),
      query.execute(sql`select require(${takenPlaces(caller.orgId, email, now)} < ${org.limit}, ${STALE})`),
      query.insert(invitations).values(row),
      query.insert(auditLog).values(audit),
    ]),
  )
  await send(ctx, { row, token, orgName: org.name })
  await db.atomically(caller.orgId, (query) => [query.delete(invitations).where(earlierThan(row))])
  return row
}

/** Members and open invitations, apart from those of an address that is invited again. */
const takenPlaces = (orgId: string, email: string, now: number) => sql`(
  (select count(*) from ${memberships} where org_id = ${orgId}) +
  (select count(*) from ${invitations}
    where org_id = ${orgId} and accepted_at is null and expires_at > ${now} and email <> ${email})
)`

/**
 * The organisation's name and limit. Throws 409 for a member's address and for a full organisation, and 403 for an
 * address that somebody above the caller has invited to more.
 */
async function checkRoom(ctx: Ctx, email: string): Promise<{ name: string; limit: number }> {
  const { orgId } = ctx.caller
  const [[org], [member], earlier] = await ctx.db.atomically(orgId, (query) => [
    query
      .select({
        name: orgs.name,
        settings: orgs.settings,
        taken: sql<string>`${takenPlaces(orgId, email, nowSeconds(ctx))}`,
      })
      .from(orgs)
      .where(eq(orgs.id, orgId)),
    query
      .select({ id: users.id })
      .from(memberships)
      .innerJoin(users, eq(users.id, memberships.user_id))
      .where(and(eq(memberships.org_id, orgId), eq(users.email_key, email))),
    query
      .select({ role: invitations.role })
      .from(invitations)
      .where(
        and(
          eq(invitations.org_id, orgId),
          eq(invitations.email, email),
          isNull(invitations.accepted_at),
          gt(invitations.expires_at, nowSeconds(ctx)),
        ),
      ),
  ])
  if (!org) throw notFound('organisation')
  if (member) throw new AppError('conflict', 'Someone with this address is a member already.')
  // This one would end it.
  if (!earlier.every(({ role }) => mayTouch(actingRole(ctx.caller), role))) throw aboveOwn()
  const { member_limit: limit = MAX_MEMBERS } = org.settings
  const most = Math.min(typeof limit === 'number' ? limit : MAX_MEMBERS, MAX_MEMBERS)
  if (Number(org.taken) >= most) throw full()
  return { name: org.name, limit: most }
}

const aboveOwn = () => new AppError('permission_denied', 'Nobody withdraws an invitation to a role above their own.')

const full = () => new AppError('conflict', 'The organisation has no room for further members and invitations.')

/** Neither is one mailbox flooded through us, nor are many written to. Other mails to the address are counted apart. */
async function takeMail(ctx: Ctx, email: string): Promise<void> {
  await takeOrRefuse(ctx, 'invitations_per_org', {
    subject: ctx.caller.orgId,
    message: 'The organisation has sent enough invitations for now.',
  })
  await takeOrRefuse(ctx, 'mails_per_address', {
    subject: `invitation ${email}`,
    message: 'This address has been written to often enough for now.',
  })
}

/** Sends the mail, and takes the invitation back when that fails. */
async function send(ctx: Ctx, { row, token, orgName }: { row: Invitation; token: string; orgName: string }) {
  const { issuer } = ctx.settings
  const { email: to, role, expires_at: expiresAt } = row
  try {
    await ctx.mailer.send(invitationMail({ to, orgName, role, token, issuer, expiresAt }))
  } catch (error) {
    await withdraw(ctx, row, { reason: 'mail_failed' })
    throw error
  }
}

async function withdraw(ctx: Ctx, row: Pick<Invitation, 'id' | 'email' | 'role'>, details?: Record<string, unknown>) {
  const { orgId } = ctx.caller
  const audit = await invitationRow(ctx, row, 'invitation.delete', details)
  await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(
        sql`select require(exists(
          select from ${invitations} where org_id = ${orgId} and id = ${row.id} and accepted_at is null for update
        ), 'HX404')`,
      ),
      query.delete(invitations).where(and(eq(invitations.org_id, orgId), eq(invitations.id, row.id))),
      query.insert(auditLog).values(audit),
    ]),
  )
}

const earlierThan = ({ org_id, id, email }: Invitation) =>
  and(
    eq(invitations.org_id, org_id),
    eq(invitations.email, email),
    isNull(invitations.accepted_at),
    lt(invitations.id, id),
  )

const rowOf = {
  id: invitations.id,
  email: invitations.email,
  role: invitations.role,
  invited_by: invitations.invited_by,
  expires_at: invitations.expires_at,
  created_at: invitations.created_at,
}

const openOf = (query: QueryBuilder) => query.select(rowOf).from(invitations)

/** Invitations that nobody has accepted, one more than asked for; those that have run out among them. */
export async function listInvitations({ db, caller: { orgId } }: Ctx, { limit, after, order }: PageQuery) {
  const [rows] = await db.atomically(orgId, (query) => [
    openOf(query)
      .where(
        and(
          eq(invitations.org_id, orgId),
          isNull(invitations.accepted_at),
          after === undefined ? undefined : (order === 'asc' ? gt : lt)(invitations.id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(invitations.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 403, and 404, also for an invitation that was accepted. */
export async function withdrawInvitation(ctx: Ctx, id: string): Promise<undefined> {
  const { orgId } = ctx.caller
  const [[row]] = await ctx.db.atomically(orgId, (query) => [
    openOf(query).where(and(eq(invitations.org_id, orgId), eq(invitations.id, id), isNull(invitations.accepted_at))),
  ])
  if (!row) throw notFound('invitation')
  if (!mayTouch(actingRole(ctx.caller), row.role)) {
    throw aboveOwn()
  }
  await withdraw(ctx, row)
}

function invitationRow(
  ctx: Ctx,
  { id, email, role }: Pick<Invitation, 'id' | 'email' | 'role'>,
  action: string,
  details: Readonly<Record<string, unknown>> = {},
) {
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'invitation', id },
    details: { email, role, ...details },
  })
}

async function settling<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === STALE) throw full()
    if (state === 'HX404') throw notFound('invitation')
    throw error
  }
}
