import { and, eq, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError, notFound, unfit } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { isRole, type Role } from '../../core/roles.ts'
import { hashSecretToken } from '../../core/secret-token.ts'
import type { PublicCtx } from '../../http/route.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { enterHashGate, newPasswordHash, verifyPassword } from '../passwords/service.ts'
import { openSession, type TokenPair } from '../sessions/service.ts'
import { createUserStatement, findLogin, foldName, type Login, Username } from '../users/service.ts'
import { invitations, memberships } from '../users/table.ts'

type Acceptance = {
  token: string
  username: string
  password: string
  ip: string
  userAgent: string | null
}

type Invitation = { id: string; orgId: string; orgName: string; email: string; role: Role; invitedBy: string | null }

type User = { id: string; username: string; email: string; email_verified: boolean }
type Joined = TokenPair & { user: User; org: { id: string; name: string }; role: Role }

/**
 * Joins whoever holds the token from an invitation's mail: with the account that has the invited address, whose name
 * and password they must know, or with a new one, whose address is thereby verified. Signs them in.
 * Throws 401, 404 for a token that is unknown, used or too old, 409, 422, 429 and 503.
 */
export async function acceptInvitation(ctx: PublicCtx, wanted: Acceptance): Promise<Joined> {
  const { ip, userAgent } = wanted
  await takeOrRefuse(ctx, 'verifications_per_ip', { subject: networkOf(ip) })
  const invitation = await findInvitation(ctx, wanted.token)
  const login = await findLogin(ctx, invitation.email)
  const user = login ? await joinAs(ctx, login, { invitation, wanted }) : await joinAnew(ctx, invitation, wanted)
  const { orgId, orgName, role } = invitation
  // What the password opened does not outlive it.
  const session = { userId: user.id, orgId, role, ip, userAgent, passwordHash: login?.passwordHash } as const
  const tokens = await openSession(ctx, { ...session, audience: 'helix', method: 'password' })
  return { user, org: { id: orgId, name: orgName }, role, ...tokens }
}

async function findInvitation(ctx: PublicCtx, token: string): Promise<Invitation> {
  const [row] = await ctx.db.query(sql`select * from find_invitation(${await hashSecretToken(token)})`)
  const isOpen = row && row.accepted_at === null && Number(row.expires_at) > nowSeconds(ctx)
  if (!isOpen || !isRole(row.role)) throw notFound('invitation')
  return {
    id: String(row.id),
    orgId: String(row.org_id),
    orgName: String(row.org_name),
    email: String(row.email),
    role: row.role,
    invitedBy: row.invited_by === null ? null : String(row.invited_by),
  }
}

/** An account of the invited address joins, once its password was right; the token proves that the address is theirs. */
async function joinAs(
  ctx: PublicCtx,
  login: Login,
  { invitation, wanted }: { invitation: Invitation; wanted: Acceptance },
): Promise<User> {
  const { id, username, email } = login
  if (![username, email].map(foldName).includes(foldName(wanted.username))) {
    throw new AppError('conflict', 'This address has an account already: give its username and password.')
  }
  await checkPassword(ctx, login, wanted)
  const join = await joining(ctx, invitation, { userId: id, ip: wanted.ip })
  const answered = sql`select verify_email(${id}, ${email}, ${foldName(email)}, ${nowSeconds(ctx)})`
  const work = ctx.db.atomically(invitation.orgId, (query) => [...join(query), query.execute(answered)])
  await settling(work, 'This account is a member already.')
  return { id, username, email, email_verified: true }
}

async function checkPassword(ctx: PublicCtx, login: Login, { password, ip }: Acceptance): Promise<void> {
  const now = nowSeconds(ctx)
  const wrong = new AppError('invalid_credentials', 'The username or the password is wrong.')
  const who = `${networkOf(ip)} ${foldName(login.username)}`
  await takeOrRefuse(ctx, 'logins_per_ip_and_name', { subject: who })
  if (!login.isActive || (login.lockedUntil ?? 0) > now || login.passwordHash === undefined) throw wrong
  enterHashGate(ctx)
  const { ok } = await verifyPassword(ctx.settings.passwordPepper, password, login.passwordHash)
  await ctx.db.query(sql`select * from note_login(${login.id}, ${ok}, ${now})`)
  if (!ok) throw wrong
  await ctx.limiter.reset('logins_per_ip_and_name', who)
}

/** Somebody new joins. */
async function joinAnew(ctx: PublicCtx, invitation: Invitation, wanted: Acceptance): Promise<User> {
  const { username, password } = wanted
  const name = Username.safeParse(username)
  if (!name.success) throw unfit('username', name.error.issues[0]?.message ?? 'invalid')
  const passwordHash = await newPasswordHash(ctx, { password, username, field: 'password' })
  const { email, orgId } = invitation
  const id = ctx.newId('usr')
  const now = nowSeconds(ctx)
  const join = await joining(ctx, invitation, { userId: id, ip: wanted.ip })
  const account = createUserStatement({ id, username, email, passwordHash, verifiedAt: now, now })
  const work = ctx.db.atomically(orgId, (query) => [query.execute(account), ...join(query)])
  await settling(work, 'This username is taken.')
  return { id, username, email, email_verified: true }
}

type Who = { userId: string; ip: string }

/** Statements that use an invitation up and make its holder a member. The first ends them all if it was used by now. */
async function joining(ctx: PublicCtx, { id, orgId, role, invitedBy }: Invitation, { userId, ip }: Who) {
  const now = nowSeconds(ctx)
  const audit = await auditRow(ctx, {
    orgId,
    actor: { kind: 'user', id: userId, ip },
    action: 'member.join',
    target: { kind: 'user', id: userId },
    details: { role, invitation_id: id, invited_by: invitedBy },
  })
  const own = and(eq(invitations.org_id, orgId), eq(invitations.id, id))
  const membership = { org_id: orgId, user_id: userId, role, invited_by: invitedBy, created_at: now, updated_at: now }
  return (query: QueryBuilder) =>
    [
      query.execute(
        sql`select require(exists(
          select from ${invitations}
          where org_id = ${orgId} and id = ${id} and accepted_at is null and expires_at > ${now} for update
        ), 'HX404')`,
      ),
      query.update(invitations).set({ accepted_at: now, updated_at: now }).where(own),
      query.insert(memberships).values(membership),
      query.insert(auditLog).values(audit),
    ] as const
}

async function settling(work: Promise<unknown>, ifTaken: string): Promise<void> {
  try {
    await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === 'HX404') throw notFound('invitation')
    if (state === '23505') throw new AppError('conflict', ifTaken)
    throw error
  }
}
