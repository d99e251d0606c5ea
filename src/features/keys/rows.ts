import { and, asc, desc, eq, gt, isNotNull, isNull, lt, lte, or, type SQL } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { onlyOf } from './reach.ts'
import type { KeysQuery, KeyView } from './schema.ts'
import { apiKeys } from './table.ts'

export type KeyRow = typeof apiKeys.$inferSelect

/** The row without what is stored of the secret. */
export function viewOf({ public_id: publicId, ...row }: KeyRow): KeyView {
  const { id, name, mode, last4, scopes, user_id, allowed_ips, allowed_models, agent_id } = row
  const { expires_at, last_used_at, rotated_from, revoked_at, created_at, updated_at } = row
  return {
    id,
    object: 'api_key',
    name,
    mode,
    prefix: `hx_${mode}_${publicId}`,
    last4,
    scopes,
    user_id,
    allowed_ips,
    allowed_models,
    agent_id,
    expires_at,
    last_used_at,
    rotated_from,
    revoked_at,
    created_at,
    updated_at,
  }
}

/** Keys that were not revoked and have not ended. */
export const isLive = (nowSeconds: number): SQL | undefined =>
  and(isNull(apiKeys.revoked_at), or(isNull(apiKeys.expires_at), gt(apiKeys.expires_at, nowSeconds)))

function hasStatus(status: NonNullable<KeysQuery['status']>, nowSeconds: number): SQL | undefined {
  if (status === 'live') return isLive(nowSeconds)
  if (status === 'revoked') return isNotNull(apiKeys.revoked_at)
  return and(isNull(apiKeys.revoked_at), lte(apiKeys.expires_at, nowSeconds))
}

/** The keys of the caller's organisation, or of the caller where they see only their own; one of them by its id. */
export function isVisible({ caller }: Pick<Ctx, 'caller'>, id?: string): SQL | undefined {
  const owner = onlyOf(caller)
  return and(
    eq(apiKeys.org_id, caller.orgId),
    owner === undefined ? undefined : eq(apiKeys.user_id, owner),
    id === undefined ? undefined : eq(apiKeys.id, id),
  )
}

/** Throws 404 for a key of another organisation, and for another person's where the caller sees only their own. */
export async function readKey(ctx: Ctx, id: string): Promise<KeyRow> {
  const [[row]] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query.select().from(apiKeys).where(isVisible(ctx, id)),
  ])
  if (!row) throw notFound('key')
  return row
}

/** One row more than asked for, if there is one. */
export async function listKeys(ctx: Ctx, { limit, after, order, user_id, status }: KeysQuery): Promise<KeyRow[]> {
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .select()
      .from(apiKeys)
      .where(
        and(
          isVisible(ctx),
          user_id === undefined ? undefined : eq(apiKeys.user_id, user_id),
          status === undefined ? undefined : hasStatus(status, nowSeconds(ctx)),
          after === undefined ? undefined : isNext(apiKeys.id, after),
        ),
      )
      .orderBy(order === 'asc' ? asc(apiKeys.id) : desc(apiKeys.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Stored hashes of the keys of an organisation, or of one person in it, that were not revoked. */
export async function hashesOf({ db }: Pick<Deps, 'db'>, orgId: string, userId?: string): Promise<string[]> {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ hash: apiKeys.secret_hash })
      .from(apiKeys)
      .where(
        and(
          eq(apiKeys.org_id, orgId),
          isNull(apiKeys.revoked_at),
          userId === undefined ? undefined : eq(apiKeys.user_id, userId),
        ),
      ),
  ])
  return rows.map(({ hash }) => hash)
}
