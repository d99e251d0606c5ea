import { and, eq, gt, inArray, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { apiKeys } from '../keys/table.ts'
import { queueFor, requireThat } from '../orgs/service.ts'
import type { CreateUpload, UploadView } from './schema.ts'
import { uploads } from './table.ts'

export type UploadRow = typeof uploads.$inferSelect

const KEPT_SECONDS = 86_400

/** Not expired, of an organisation: what is announced, and all with what came with calls. */
export const MOST_ANNOUNCED = 100
const MOST_KEPT = 1000

/** How often the bytes of one upload can be sent. */
export const MOST_ATTEMPTS = 16

/** State of `requireThat`. */
const FULL = 'HX409'

type Placed = Pick<UploadRow, 'org_id' | 'id' | 'created_at' | 'updated_at'>

const placeOf = ({ org_id, id }: Placed, attempt: number): string => `${org_id}/uploads/${id}/${attempt}`

/**
 * `updated_at` counts the attempts to send the bytes from `created_at` on, one second each, so that two who send at
 * once never write to one place, and the row knows of every place that was written to.
 */
const attemptOf = ({ created_at, updated_at }: Placed): number =>
  Math.max(0, Math.min(updated_at - created_at, MOST_ATTEMPTS))

/** Where its bytes are, or those of the attempt that was begun last. */
export const keyOf = (row: Placed): string => placeOf(row, attemptOf(row))

/** Wherever bytes of it may be. */
export const keysOf = (row: Placed): string[] =>
  Array.from({ length: attemptOf(row) + 1 }, (_, attempt) => placeOf(row, attempt))

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

/** The key alone that made it; whoever is signed in as the person who did, or whose key did; or who may do everything. */
function isReachable({ caller, now }: Pick<Ctx, 'caller' | 'now'>, id: string): SQL | undefined {
  const { orgId, keyId, userId, kind, scopes } = caller
  const maker = kind === 'api_key' ? keyId : (userId ?? keyId)
  const keysOfTheirs = sql`(select ${apiKeys.id} from ${apiKeys} where ${and(
    eq(apiKeys.org_id, orgId),
    eq(apiKeys.user_id, maker),
  )})`
  return and(
    eq(uploads.org_id, orgId),
    eq(uploads.id, id),
    gt(uploads.expires_at, nowSeconds({ now })),
    scopes.includes('*:*') ? undefined : or(eq(uploads.created_by, maker), inArray(uploads.created_by, keysOfTheirs)),
  )
}

export type Origin = 'announced' | 'with a call'

/** Throws 403 for a credential that belongs to no organisation, and 409 where there are as many as can be. */
export async function insertUpload(
  ctx: Ctx,
  { filename, content_type, size_bytes }: CreateUpload,
  origin: Origin = 'announced',
): Promise<UploadRow> {
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
    created_by: kind === 'api_key' ? keyId : (userId ?? keyId),
    expires_at: now + KEPT_SECONDS,
    created_at: now,
    updated_at: now,
  }
  try {
    await ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      query.insert(uploads).values(row),
      isNotFull(query, row, origin),
    ])
  } catch (error) {
    if (sqlStateOf(error) !== FULL) throw error
    const most = origin === 'announced' ? MOST_ANNOUNCED : MOST_KEPT
    throw new AppError('conflict', `An organisation has at most ${most} uploads: remove some, or wait for their end.`)
  }
  return row
}

function isNotFull(query: QueryBuilder, { org_id, created_at }: UploadRow, origin: Origin) {
  // What came with a call was never sent by itself, and has no attempts.
  const isAnnounced = sql`(${uploads.status} = 'waiting' or ${uploads.updated_at} > ${uploads.created_at})`
  const isCounted = and(
    eq(uploads.org_id, org_id),
    gt(uploads.expires_at, created_at),
    origin === 'announced' ? isAnnounced : undefined,
  )
  const all = sql`(select count(*) from ${uploads} where ${isCounted})`
  return requireThat(query, lte(all, origin === 'announced' ? MOST_ANNOUNCED : MOST_KEPT), FULL)
}

/** Throws 404 for one that the caller may not see, or that is over. */
export async function readUpload(ctx: Ctx, id: string): Promise<UploadRow> {
  const [[row]] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query.select().from(uploads).where(isReachable(ctx, id)),
  ])
  if (!row) throw notFound('upload')
  return row
}

/**
 * Begins an attempt to send its bytes, in place of one that may still be under way.
 * Throws 404 for one that is gone, and 409 where the bytes are there or were sent too often.
 */
export async function claimAttempt(ctx: Ctx, id: string): Promise<UploadRow> {
  const [[claimed], found] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .update(uploads)
      .set({ updated_at: sql`${uploads.updated_at} + 1` })
      .where(
        and(
          isReachable(ctx, id),
          eq(uploads.status, 'waiting'),
          lt(uploads.updated_at, sql`${uploads.created_at} + ${MOST_ATTEMPTS}`),
        ),
      )
      .returning(),
    query.select().from(uploads).where(isReachable(ctx, id)),
  ])
  if (claimed) return claimed
  if (found[0]?.status === 'waiting') {
    throw new AppError('conflict', `The bytes of an upload can be sent ${MOST_ATTEMPTS} times: announce another.`)
  }
  throw takenOrGone(found)
}

/**
 * The bytes of this attempt are there, and those of no other. Throws 404 for one that is gone meanwhile, and 409 where
 * somebody else has begun to send them since.
 */
export async function markReady(
  ctx: Ctx,
  { id, updated_at }: UploadRow,
  came: { sizeBytes: number; sha256: string },
): Promise<UploadRow> {
  const [[row], found] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .update(uploads)
      .set({ status: 'ready', size_bytes: came.sizeBytes, sha256: came.sha256 })
      .where(and(isReachable(ctx, id), eq(uploads.status, 'waiting'), eq(uploads.updated_at, updated_at)))
      .returning(),
    query.select().from(uploads).where(isReachable(ctx, id)),
  ])
  if (!row) throw takenOrGone(found)
  return row
}

function takenOrGone([row]: readonly UploadRow[]): AppError {
  if (!row) return notFound('upload')
  return new AppError(
    'conflict',
    row.status === 'ready'
      ? 'The bytes of this upload are there already.'
      : 'The bytes of this upload are being sent once more.',
  )
}

/** Removes it. Its bytes go first: the row alone knows of them. Throws 404, and `DependencyError('bucket')`. */
export async function removeUpload(ctx: Ctx, id: string): Promise<void> {
  const row = await readUpload(ctx, id)
  await ctx.bucket.remove(keysOf(row))
  await ctx.db.atomically(row.org_id, (query) => [query.delete(uploads).where(isReachable(ctx, id))])
}
