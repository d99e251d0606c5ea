import { and, asc, desc, eq, gt, isNull, lt, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { PageQuery } from '../../http/page.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { markChanged } from '../records/service.ts'
import { endSessions, recordsOf } from './endings.ts'
import type { CheckedProvider } from './rules.ts'
import { oidcIdentities, oidcProviders } from './table.ts'

export type ProviderRow = typeof oidcProviders.$inferSelect

/** SQLSTATEs of our own functions: a limit is reached, and a row is gone. */
const TOO_MANY = 'HX409'
const GONE = 'HX404'

const live = (orgId: string, id?: string) =>
  and(
    eq(oidcProviders.org_id, orgId),
    isNull(oidcProviders.deleted_at),
    id === undefined ? undefined : eq(oidcProviders.id, id),
  )

/** One more than asked for. */
export async function listProviders({ db, caller: { orgId } }: Ctx, { limit, after, order }: PageQuery) {
  const { id } = oidcProviders
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(oidcProviders)
      .where(and(live(orgId), after === undefined ? undefined : (order === 'asc' ? gt : lt)(id, after)))
      .orderBy((order === 'asc' ? asc : desc)(id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readProvider({ db, caller: { orgId } }: Ctx, id: string): Promise<ProviderRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(oidcProviders).where(live(orgId, id))])
  if (!row) throw notFound('provider')
  return row
}

/** Throws 409 beyond ten. */
export async function createProvider(ctx: Ctx, provider: CheckedProvider): Promise<ProviderRow> {
  const { orgId } = ctx.caller
  const now = nowSeconds(ctx)
  const id = ctx.newId('idp')
  const row = { ...provider, id, org_id: orgId, deleted_at: null, created_at: now, updated_at: now }
  const audit = await providerAudit(ctx, { action: 'oidc_provider.create', id, after: row })
  await settling(
    ctx.db.atomically(orgId, (query) => [
      query.insert(oidcProviders).values(row),
      query.insert(auditLog).values(audit),
    ]),
  )
  return row
}

/**
 * Replaces a provider. Sessions that were opened under other rules end, so that everybody comes in under the new ones.
 * Another issuer may call somebody else by the same subject: whom the one before knew is forgotten. Throws 404.
 */
export async function replaceProvider(ctx: Ctx, id: string, provider: CheckedProvider): Promise<ProviderRow> {
  const { orgId } = ctx.caller
  const before = await readProvider(ctx, id)
  const now = nowSeconds(ctx)
  const row = { ...before, ...provider, updated_at: now }
  const audit = await providerAudit(ctx, { action: 'oidc_provider.update', id, before, after: row })
  const [, , ended] = await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(stands(orgId, id)),
      query
        .update(oidcProviders)
        .set({ ...provider, updated_at: now })
        .where(live(orgId, id)),
      endSessions(query, { orgId, providerId: id, now }),
      ...(provider.issuer === before.issuer ? [] : [forgetSubjects(query, { orgId, providerId: id })]),
      query.insert(auditLog).values(audit),
    ]),
  )
  await markChanged(ctx, recordsOf(ended))
  return row
}

const forgetSubjects = (query: QueryBuilder, { orgId, providerId }: { orgId: string; providerId: string }) =>
  query.delete(oidcIdentities).where(and(eq(oidcIdentities.org_id, orgId), eq(oidcIdentities.provider_id, providerId)))

/** Takes an issuer's word no longer, and ends the sessions that were opened on it. Throws 404. */
export async function deleteProvider(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readProvider(ctx, id)
  const now = nowSeconds(ctx)
  const audit = await providerAudit(ctx, { action: 'oidc_provider.delete', id, before })
  const [, , ended] = await settling(
    ctx.db.atomically(orgId, (query) => [
      query.execute(stands(orgId, id)),
      query.update(oidcProviders).set({ deleted_at: now, updated_at: now }).where(live(orgId, id)),
      endSessions(query, { orgId, providerId: id, now }),
      query.insert(auditLog).values(audit),
    ]),
  )
  await markChanged(ctx, recordsOf(ended))
}

/** Ends the transaction unless the provider is still there, and keeps it so until the end. */
const stands = (orgId: string, id: string) =>
  sql`select require(exists(select from ${oidcProviders} where ${live(orgId, id)} for update), ${GONE})`

type Change = { action: string; id: string; before?: ProviderRow; after?: ProviderRow }

const providerAudit = (ctx: Ctx, { action, id, before, after }: Change) =>
  auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'oidc_provider', id },
    before,
    after,
    details: { issuer: (after ?? before)?.issuer, max_role: (after ?? before)?.max_role },
  })

async function settling<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === TOO_MANY) throw new AppError('conflict', 'An organisation has at most ten providers.')
    if (state === GONE) throw notFound('provider')
    throw error
  }
}
