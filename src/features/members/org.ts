import { eq, sql } from 'drizzle-orm'
import type * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { newOrg } from '../orgs/service.ts'
import { orgs } from '../orgs/table.ts'
import { findSession } from '../sessions/service.ts'
import { findMemberships, type Membership } from '../users/service.ts'
import { memberships } from '../users/table.ts'
import { endAccess, markAll } from './access.ts'
import type { OrgPatch } from './schema.ts'

type Org = typeof orgs.$inferSelect

/** The caller's organisation. */
export async function findOrg({ db, caller: { orgId } }: Ctx): Promise<Org> {
  const [[org]] = await db.atomically(orgId, (query) => [query.select().from(orgs).where(eq(orgs.id, orgId))])
  if (!org) throw notFound('organisation')
  return org
}

/** Merges a change into it (RFC 7396). */
export async function patchOrg(ctx: Ctx, { name, settings }: z.output<typeof OrgPatch>): Promise<Org> {
  const { orgId } = ctx.caller
  const before = await findOrg(ctx)
  const change = {
    ...(name !== undefined && { name }),
    // Merged by Postgres, so that of two changes at the same time neither undoes the other.
    ...(settings && { settings: sql`jsonb_strip_nulls(${orgs.settings} || ${JSON.stringify(settings)}::jsonb)` }),
    updated_at: nowSeconds(ctx),
  }
  const audit = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'org.update',
    target: { kind: 'org', id: orgId },
    before: { name: before.name, settings: before.settings },
    after: { name: name ?? before.name, settings: { ...before.settings, ...settings } },
    details: { ...(name !== undefined && { name }), ...settings },
  })
  const [[org]] = await ctx.db.atomically(orgId, (query) => [
    query.update(orgs).set(change).where(eq(orgs.id, orgId)).returning(),
    query.insert(auditLog).values(audit),
  ])
  if (!org) throw notFound('organisation')
  return org
}

/** Ends the organisation with every session and key in it; its rows wait to be erased. Throws 422 without its slug. */
export async function deleteOrg(ctx: Ctx, confirm: string): Promise<undefined> {
  const { orgId } = ctx.caller
  const { name, slug } = await findOrg(ctx)
  if (confirm !== slug) {
    const detail = "must be the organisation's slug"
    const fields = [{ pointer: 'confirm', detail }]
    throw new AppError('invalid_request', `confirm: ${detail}`, { status: 422, param: 'confirm', fields })
  }
  const now = nowSeconds(ctx)
  const audit = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'org.delete',
    target: { kind: 'org', id: orgId },
    details: { name, slug },
  })
  const [, sessions, keys] = await ctx.db.atomically(orgId, (query) => [
    query.update(orgs).set({ deleted_at: now, updated_at: now }).where(eq(orgs.id, orgId)),
    ...endAccess(query, { orgId, now }),
    query.insert(auditLog).values(audit),
  ])
  await markAll(ctx, sessions, keys)
}

/** What another issuer vouched for is one organisation; nothing of the person's others is theirs to say. */
async function isBound(ctx: Ctx): Promise<boolean> {
  const session = await findSession(ctx, ctx.caller.orgId, ctx.caller.keyId)
  return session?.method !== 'password'
}

/** Makes an organisation that the caller owns. Throws 403 where that is not open to everybody, and 429. */
export async function createOrg(ctx: Ctx, name: string): Promise<Org> {
  const { userId, kind } = ctx.caller
  if (userId === undefined || (await isBound(ctx))) {
    throw new AppError('permission_denied', 'A session of another issuer stays within its organisation.')
  }
  if (ctx.settings.registration === 'closed' && kind !== 'operator') {
    throw new AppError('permission_denied', 'Only operators make organisations in this installation.')
  }
  await takeOrRefuse(ctx, 'orgs_per_user', { subject: userId, message: 'Too many organisations at once.' })
  const org = newOrg(ctx, name)
  const { id, created_at, updated_at } = org
  const audit = await auditRow(ctx, {
    orgId: id,
    actor: actorOf(ctx.caller),
    action: 'org.create',
    target: { kind: 'org', id },
    details: { name, slug: org.slug },
  })
  const [[made]] = await ctx.db.atomically(id, (query) => [
    query.insert(orgs).values(org).returning(),
    query.insert(memberships).values({ org_id: id, user_id: userId, role: 'owner', created_at, updated_at }),
    query.insert(auditLog).values(audit),
  ])
  if (!made) throw notFound('organisation')
  return made
}

/** The organisations that the caller is a member of, the oldest membership first. */
export async function listOwnOrgs(ctx: Ctx): Promise<Membership[]> {
  const { userId, orgId } = ctx.caller
  if (userId === undefined) return []
  const [all, bound] = await Promise.all([findMemberships(ctx, userId), isBound(ctx)])
  return bound ? all.filter((membership) => membership.orgId === orgId) : all
}
