import { and, eq, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Caller, Ctx } from '../../core/context.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { type Role, reaches, reachOf } from '../../core/roles.ts'
import { hashSecretToken } from '../../core/secret-token.ts'
import type { PublicCtx } from '../../http/route.ts'
import { type AuditEntry, actorOf, auditLog, auditRow } from '../audit/service.ts'
import { enterHashGate, newPasswordHash, refuseWeak, verifyPassword } from '../passwords/service.ts'
import { findLogin, findMemberships, foldName, type Login, STALE_PASSWORD, stillHasPassword } from '../users/service.ts'
import { memberships, users, userTokens } from '../users/table.ts'
import { deadToken, ownRow } from './account.ts'
import { newUserToken } from './founding.ts'
import { clientOf, requireOwnSession } from './guard.ts'
import { mailLater, passwordChangedMail, resetMail } from './mails.ts'
import { auditEverywhere, endSessions, forgetSessions } from './trail.ts'

const RESET_SECONDS = 30 * 60

type Change = {
  userId: string
  hash: string
  /** The stored hash that the present password was checked against. */
  instead?: string | undefined
  exceptId?: string | undefined
  entry: AuditEntry
}

/**
 * A new password, the end of what the old one opened, and the line that says so, together or not at all. Of two who know
 * the old password at the same time one changes it. Throws `STALE_PASSWORD` as the SQLSTATE for the other.
 */
async function setPassword(ctx: PublicCtx, { userId, hash, instead, exceptId, entry }: Change): Promise<void> {
  const now = nowSeconds(ctx)
  const audit = await auditRow(ctx, entry)
  const [, , ended] = await ctx.db.atomically(entry.orgId, (query) => [
    query.execute(stillHasPassword(userId, instead)),
    query.execute(sql`select set_password(${userId}, ${hash}, ${now})`),
    endSessions(query, { userId, exceptId, now }),
    query.insert(auditLog).values(audit),
  ])
  await forgetSessions(ctx, ended)
}

const wrongPassword = () =>
  new AppError('wrong_password', 'The current password is not right.', { param: 'current_password' })

type Passwords = { current_password: string; new_password: string }

/** The caller's own; every other session of theirs ends. Throws 400 `wrong_password`, 403, 422 and 429. */
export async function changePassword(ctx: Ctx, wanted: Passwords): Promise<void> {
  await requireOwnSession(ctx)
  const { id, username, email, password_hash: stored } = await ownRow(ctx)
  refuseWeak({ password: wanted.new_password, username, field: 'new_password' })
  await takeOrRefuse(ctx, 'password_checks_per_user', { subject: id })
  enterHashGate(ctx)
  const instead = stored ?? undefined
  const { ok } = await verifyPassword(ctx.settings.passwordPepper, wanted.current_password, instead)
  if (!ok) throw wrongPassword()
  const hash = await newPasswordHash(ctx, { password: wanted.new_password, username, field: 'new_password' })
  const { orgId, keyId } = ctx.caller
  const target = { kind: 'user', id }
  const entry = { orgId, actor: actorOf(ctx.caller), action: 'user.password', target }
  const change = { userId: id, hash, instead, exceptId: keyId, entry }
  await setPassword(ctx, change).catch((error: unknown) => {
    throw sqlStateOf(error) === STALE_PASSWORD ? wrongPassword() : error
  })
  await ctx.limiter.reset('password_checks_per_user', id)
  mailLater(ctx, passwordChangedMail({ to: email, username }))
}

type Target = { id: string; username: string; email: string }

/** Somebody else's, by an administrator of their only organisation or an operator. Throws 403, 404, 422 and 429. */
export async function changePasswordOf(ctx: Ctx, wanted: { username: string; new_password: string }): Promise<void> {
  const isOperator = ctx.caller.kind === 'operator'
  const { id, username, email } = isOperator
    ? await anyone(ctx, wanted.username)
    : await subordinate(ctx, wanted.username)
  // Each costs this isolate a hash, of which everybody's sign-in needs one.
  await takeOrRefuse(ctx, 'passwords_set_per_org', { subject: ctx.caller.orgId })
  const hash = await newPasswordHash(ctx, { password: wanted.new_password, username, field: 'new_password' })
  const { orgId } = ctx.caller
  const target = { kind: 'user', id }
  const entry = { actor: actorOf(ctx.caller), action: 'user.password_by_admin', target }
  await setPassword(ctx, { userId: id, hash, entry: { ...entry, orgId } })
  if (isOperator) await auditEverywhere(ctx, id, { ...entry, except: orgId })
  mailLater(ctx, passwordChangedMail({ to: email, username }))
}

async function anyone(ctx: Ctx, name: string): Promise<Target> {
  const login = await findLogin(ctx, name)
  if (!login) throw notFound('person')
  if (login.id === ctx.caller.userId) throw ownPassword()
  return login
}

const forbidden = (message: string) => new AppError('permission_denied', message)
const ownPassword = () => forbidden('Your own password is changed with the current one.')

/** A member of the caller's organisation whose password is nobody else's business. */
async function subordinate({ db, caller }: Ctx, name: string): Promise<Target> {
  const { orgId, userId } = caller
  const key = foldName(name)
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({
        id: users.id,
        username: users.username,
        email: users.email,
        isOperator: users.is_operator,
        role: memberships.role,
      })
      .from(users)
      .innerJoin(memberships, eq(memberships.user_id, users.id))
      .where(and(eq(memberships.org_id, orgId), sql`${key} in (${users.username_key}, ${users.email_key})`)),
  ])
  if (!row) throw notFound('member')
  if (row.id === userId) throw ownPassword()
  if (row.isOperator || !reachesRole(caller, row.role)) {
    throw forbidden('Nobody changes the password of someone with more power than their own.')
  }
  const all = await findMemberships({ db }, row.id)
  if (all.some((membership) => membership.orgId !== orgId)) {
    throw forbidden('This person is a member of other organisations too: only they themselves change their password.')
  }
  return row
}

/**
 * Whoever can set a password can be whom it is of: a key reaches nobody who can do more than the key itself, and one
 * that nobody stands behind reaches nobody.
 */
function reachesRole(caller: Caller, other: Role): boolean {
  const reach = caller.role === undefined ? undefined : reachOf(caller)
  return reach !== undefined && reaches(reach, other)
}

/**
 * Mails a token to whoever has the address. The reply is the same for every address, and so is what comes before it: a
 * look-up, so that nobody is told to wait for a mail while the store of people is away. The rest follows the reply.
 */
export async function forgotPassword(ctx: PublicCtx, email: string, request: Request): Promise<void> {
  await takeOrRefuse(ctx, 'resets_per_ip', { subject: networkOf(clientOf(request).ip) })
  const { allowed } = await ctx.limiter.take('mails_per_address', foldName(email))
  const login = allowed ? await findLogin(ctx, email) : undefined
  // Someone whom only another issuer vouches for gets no way around it.
  if (login?.isActive && login.passwordHash !== undefined) ctx.defer(mailReset(ctx, login))
}

async function mailReset(ctx: PublicCtx, login: Login): Promise<void> {
  const { id: userId, email: to, username } = login
  const now = nowSeconds(ctx)
  const { token, row } = await newUserToken({
    userId,
    email: to,
    purpose: 'reset_password',
    now,
    seconds: RESET_SECONDS,
  })
  await ctx.db.atomically('', (query) => [query.insert(userTokens).values(row)])
  mailLater(ctx, resetMail({ to, username, token, issuer: ctx.settings.issuer }))
}

/** A new password for whoever holds the token of a mail; every session of theirs ends. Throws 400, 422 and 429. */
export async function resetPassword(
  ctx: PublicCtx,
  wanted: { token: string; new_password: string },
  request: Request,
): Promise<void> {
  const { ip } = clientOf(request)
  refuseWeak({ password: wanted.new_password, username: '', field: 'new_password' })
  await takeOrRefuse(ctx, 'resets_per_ip', { subject: networkOf(ip) })
  const tokenHash = await hashSecretToken(wanted.token)
  const [found] = await ctx.db.query(
    sql`select user_id, username, email from find_user_token(${tokenHash}, 'reset_password', ${nowSeconds(ctx)})`,
  )
  if (!found) throw deadToken()
  const [id, username, to] = [String(found.user_id), String(found.username), String(found.email)]
  const hash = await newPasswordHash(ctx, { password: wanted.new_password, username, field: 'new_password' })
  const now = nowSeconds(ctx)
  const entry = {
    actor: { kind: 'user', id, ip },
    action: 'user.password_reset',
    target: { kind: 'user', id },
  } as const
  const [home] = await findMemberships(ctx, id)
  const audit = home && (await auditRow(ctx, { ...entry, orgId: home.orgId }))
  const work = ctx.db.atomically(home?.orgId ?? '', (query) => [
    query.execute(
      sql`select require(exists(select from use_user_token(${tokenHash}, 'reset_password', ${now})), 'HX404')`,
    ),
    query.execute(sql`select set_password(${id}, ${hash}, ${now})`),
    endSessions(query, { userId: id, now }),
    ...(audit === undefined ? [] : [query.insert(auditLog).values(audit)]),
  ])
  const [, , ended] = await work.catch((error: unknown) => {
    throw sqlStateOf(error) === 'HX404' ? deadToken() : error
  })
  mailLater(ctx, passwordChangedMail({ to, username }))
  await forgetSessions(ctx, ended)
  // It is done, whatever becomes of the rows in their other organisations.
  ctx.defer(auditEverywhere(ctx, id, { ...entry, except: home?.orgId }))
}
