import { and, eq } from 'drizzle-orm'
import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { hashSecretToken } from '../../core/secret-token.ts'
import type { PublicCtx } from '../../http/route.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { findMemberships, foldName } from '../users/service.ts'
import { memberships, users, userTokens } from '../users/table.ts'
import { newUserToken, refuseTaken } from './founding.ts'
import { clientOf, isBound, personOf, requireOwnSession } from './guard.ts'
import { addressChangeMail, mailLater, verificationMail } from './mails.ts'
import type { MePatch } from './schema.ts'
import { auditEverywhere } from './trail.ts'

/** The row of the person who is signed in, as their organisation may see it. */
export async function ownRow(ctx: Ctx) {
  const { orgId } = ctx.caller
  const isMe = and(eq(memberships.org_id, orgId), eq(memberships.user_id, personOf(ctx)))
  const [[row]] = await ctx.db.atomically(orgId, (query) => [
    query
      .select({
        id: users.id,
        username: users.username,
        email: users.email,
        email_verified_at: users.email_verified_at,
        display_name: users.display_name,
        password_hash: users.password_hash,
        is_active: users.is_active,
        is_operator: users.is_operator,
      })
      .from(users)
      .innerJoin(memberships, eq(memberships.user_id, users.id))
      .where(isMe),
  ])
  if (!row) throw notFound('person')
  return row
}

/** Who is signed in, for which organisation, and what they may do there. */
export async function me(ctx: Ctx) {
  const { caller } = ctx
  const [row, all, bound] = await Promise.all([ownRow(ctx), findMemberships(ctx, personOf(ctx)), isBound(ctx)])
  const here = all.find(({ orgId }) => orgId === caller.orgId)
  if (!here) throw notFound('organisation')
  // What another issuer vouched for is one organisation: it shall not learn of others.
  const shown = bound ? [here] : all
  return {
    ...row,
    email_verified: row.email_verified_at !== null,
    is_superuser: row.is_operator,
    org: { id: here.orgId, name: here.orgName, slug: here.orgSlug, plan: here.plan },
    role: caller.role ?? here.role,
    scopes: [...caller.scopes],
    memberships: shown.map(({ orgId, orgName, orgSlug, role, isLive }) => ({
      org_id: orgId,
      org_name: orgName,
      org_slug: orgSlug,
      role,
      is_active: isLive,
    })),
  }
}

/** Changes how the caller is called, and asks for a proof of a new address. Throws 403, 409 and 429. */
export async function changeMe(ctx: Ctx, { display_name: displayName, email }: MePatch) {
  if (email !== undefined) await changeAddress(ctx, email)
  if (displayName !== undefined) {
    const { orgId } = ctx.caller
    const id = personOf(ctx)
    // Whoever vouches for somebody in one organisation does not name them in another.
    if ((await findMemberships(ctx, id)).length > 1) await requireOwnSession(ctx)
    const audit = await auditRow(ctx, {
      orgId,
      actor: actorOf(ctx.caller),
      action: 'user.update',
      target: { kind: 'user', id },
      after: { display_name: displayName },
    })
    const change = { display_name: displayName, updated_at: nowSeconds(ctx) }
    await ctx.db.atomically(orgId, (query) => [
      query.update(users).set(change).where(eq(users.id, id)),
      query.insert(auditLog).values(audit),
    ])
  }
  return me(ctx)
}

async function changeAddress(ctx: Ctx, email: string): Promise<void> {
  await requireOwnSession(ctx)
  const row = await ownRow(ctx)
  const isSame = foldName(email) === foldName(row.email)
  if (isSame && row.email_verified_at !== null && email === row.email) return
  // Also by person: whoever may ask for any address learns which of them are taken.
  await takeOrRefuse(ctx, 'mails_per_address', { subject: row.id })
  if (!isSame) await refuseTaken(ctx, { email })
  await takeOrRefuse(ctx, 'mails_per_address', { subject: foldName(email) })
  const { orgId } = ctx.caller
  const { token, row: tokenRow } = await newUserToken({
    userId: row.id,
    email,
    purpose: 'verify_email',
    now: nowSeconds(ctx),
  })
  const audit = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'user.email_asked',
    target: { kind: 'user', id: row.id },
    before: { email: row.email },
    after: { email },
  })
  await ctx.db.atomically(orgId, (query) => [
    query.insert(userTokens).values(tokenRow),
    query.insert(auditLog).values(audit),
  ])
  const { username } = row
  mailLater(ctx, verificationMail({ to: email, username, token, issuer: ctx.settings.issuer }))
  if (!isSame) mailLater(ctx, addressChangeMail({ to: row.email, username }))
}

/** Makes the address that a token was mailed to its person's. Throws 400, 409 and 429. */
export async function verifyEmail(ctx: PublicCtx, token: string, request: Request): Promise<void> {
  const { ip } = clientOf(request)
  await takeOrRefuse(ctx, 'verifications_per_ip', { subject: networkOf(ip) })
  const hash = await hashSecretToken(token)
  const now = nowSeconds(ctx)
  const [found] = await ctx.db.query(sql`select user_id, email from find_user_token(${hash}, 'verify_email', ${now})`)
  if (!found) throw deadToken()
  const [id, email] = [String(found.user_id), String(found.email)]
  const entry = { actor: { kind: 'user', id, ip }, action: 'user.email', target: { kind: 'user', id } } as const
  const [home] = await findMemberships(ctx, id)
  const audit = home && (await auditRow(ctx, { ...entry, orgId: home.orgId }))
  const work = ctx.db.atomically(home?.orgId ?? '', (query) => [
    query.execute(sql`select require(exists(select from use_user_token(${hash}, 'verify_email', ${now})), 'HX404')`),
    query.execute(sql`select verify_email(${id}, ${email}, ${foldName(email)}, ${now})`),
    ...(audit === undefined ? [] : [query.insert(auditLog).values(audit)]),
  ])
  await work.catch((error: unknown) => {
    const state = sqlStateOf(error)
    if (state === 'HX404') throw deadToken()
    if (state === '23505') throw new AppError('conflict', 'Another account has this address by now.')
    throw error
  })
  // It is done, whatever becomes of the rows in their other organisations.
  ctx.defer(auditEverywhere(ctx, id, { ...entry, except: home?.orgId }))
}

/** For a token that was mailed. */
export const deadToken = () =>
  new AppError('invalid_request', 'This token is not valid: it was used, is too old, or never was one.', {
    param: 'token',
  })
