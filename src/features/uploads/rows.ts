import { and, eq, gt, inArray, type SQL } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { CreateUpload, UploadView } from './schema.ts'
import { uploads } from './table.ts'

export type UploadRow = typeof uploads.$inferSelect

const KEPT_SECONDS = 86_400

/** Where its bytes are. */
export const keyOf = ({ org_id, id }: Pick<UploadRow, 'org_id' | 'id'>): string => `${org_id}/uploads/${id}`

export const viewOf = ({
  id,
  status,
  filename,
  mime,
  size_bytes,
  sha256,
  expires_at,
  created_at,
}: UploadRow): UploadView => ({
  id,
  object: 'upload',
  status,
  filename,
  content_type: mime,
  size_bytes,
  sha256,
  upload_url: `/api/v1/uploads/${id}/content`,
  expires_at,
  created_at,
})

/** Who made it, or somebody who may do everything. */
function isReachable({ caller, now }: Pick<Ctx, 'caller' | 'now'>, id: string): SQL | undefined {
  const { orgId, keyId, userId, scopes } = caller
  const makers = userId === undefined ? [keyId] : [keyId, userId]
  return and(
    eq(uploads.org_id, orgId),
    eq(uploads.id, id),
    gt(uploads.expires_at, nowSeconds({ now })),
    scopes.includes('*:*') ? undefined : inArray(uploads.created_by, makers),
  )
}

/** Throws 403 for a credential that belongs to no organisation. */
export async function insertUpload(ctx: Ctx, { filename, content_type, size_bytes }: CreateUpload): Promise<UploadRow> {
  const { orgId, keyId, userId, kind } = ctx.caller
  if (kind === 'scraper') throw new AppError('permission_denied', 'This credential reads metrics only.')
  const now = nowSeconds(ctx)
  const row: UploadRow = {
    id: ctx.newId('upl'),
    org_id: orgId,
    status: 'waiting',
    filename,
    mime: content_type ?? null,
    size_bytes,
    sha256: null,
    created_by: userId ?? keyId,
    expires_at: now + KEPT_SECONDS,
    created_at: now,
    updated_at: now,
  }
  await ctx.db.atomically(orgId, (query) => [query.insert(uploads).values(row)])
  return row
}

/** Throws 404 for one that the caller may not see, or that is over. */
export async function readUpload(ctx: Ctx, id: string): Promise<UploadRow> {
  const [[row]] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query.select().from(uploads).where(isReachable(ctx, id)),
  ])
  if (!row) throw notFound('upload')
  return row
}

/** Its bytes are there; of two who sent them at once the last counts. Throws 404 for one that is gone meanwhile. */
export async function markReady(ctx: Ctx, id: string, came: { sizeBytes: number; sha256: string }): Promise<UploadRow> {
  const [[row]] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .update(uploads)
      .set({ status: 'ready', size_bytes: came.sizeBytes, sha256: came.sha256, updated_at: nowSeconds(ctx) })
      .where(isReachable(ctx, id))
      .returning(),
  ])
  if (!row) throw notFound('upload')
  return row
}

/** Removes it. Its bytes go first: the row alone knows of them. Throws 404, and `DependencyError('bucket')`. */
export async function removeUpload(ctx: Ctx, id: string): Promise<void> {
  const row = await readUpload(ctx, id)
  await ctx.bucket.remove([keyOf(row)])
  await ctx.db.atomically(row.org_id, (query) => [query.delete(uploads).where(isReachable(ctx, id))])
}
