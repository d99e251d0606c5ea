import { and, asc, desc, eq, gt, lt, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { deleteVectors, insertVectors, type Space } from '../spaces/service.ts'
import type { ChangeBody, ImagesQuery, ImageView } from './images-schema.ts'
import { NEAR_BITS } from './limits.ts'
import { images } from './table.ts'

export type ImageRow = typeof images.$inferSelect
type World = Pick<Ctx, 'db' | 'caller' | 'now'>

/** Where the bytes of a picture are. */
export const keyOf = (orgId: string, id: string): string => `${orgId}/images/${id}`

export const viewOf = ({ org_id: _org, r2_key, ...row }: ImageRow): ImageView => ({
  object: 'image',
  ...row,
  stored: r2_key !== null,
})

const isOf = (orgId: string, id: string) => and(eq(images.org_id, orgId), eq(images.id, id))

/** Rows that have all of these tags. */
const hasTags = (tags: readonly string[]): SQL => sql`${images.tags} @> ${JSON.stringify(tags)}::jsonb`

/** One row more than asked for, if there is one. */
export async function listImages({ db, caller: { orgId } }: World, wish: ImagesQuery): Promise<ImageRow[]> {
  const { limit, after, order, source_id: sourceId, tag } = wish
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(images)
      .where(
        and(
          eq(images.org_id, orgId),
          sourceId === undefined ? undefined : eq(images.source_id, sourceId),
          tag === undefined ? undefined : hasTags([tag]),
          after === undefined ? undefined : (order === 'asc' ? gt : lt)(images.id, after),
        ),
      )
      .orderBy(order === 'asc' ? asc(images.id) : desc(images.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readImage({ db, caller: { orgId } }: World, id: string): Promise<ImageRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(images).where(isOf(orgId, id))])
  if (!row) throw notFound('image')
  return row
}

export type Standing = { existing: ImageRow | undefined; near: Near[]; count: number }
export type Near = { image_id: string; distance: number }

/** What there is already: the same file, pictures that look the same, the nearest first, and how many in all. */
export async function standingOf(
  { db, caller: { orgId } }: World,
  { sha256, phash }: Pick<ImageRow, 'sha256' | 'phash'>,
): Promise<Standing> {
  // A case, since the parts of a condition are worked out in whichever order.
  const distance = sql<number>`case when ${images.phash} ~ '^[0-9a-f]{16}$'
    then bit_count(('x' || ${images.phash})::bit(64) # ('x' || ${phash ?? ''})::bit(64))::int end`
  const [[existing], [all], near] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(images)
      .where(and(eq(images.org_id, orgId), eq(images.sha256, sha256))),
    query.select({ count: sql<number>`count(*)::int` }).from(images).where(eq(images.org_id, orgId)),
    query
      .select({ image_id: images.id, distance })
      .from(images)
      .where(
        and(
          eq(images.org_id, orgId),
          phash === null ? sql`false` : sql`${distance} <= ${NEAR_BITS}`,
          sql`${images.sha256} <> ${sha256}`,
        ),
      )
      .orderBy(distance, images.id)
      .limit(20),
  ])
  return {
    existing,
    count: Number(all?.count ?? 0),
    near: near.map(({ image_id, distance: bits }) => ({ image_id, distance: Number(bits) })),
  }
}

type Vector = { space: Space; vector: readonly number[] }

/**
 * Keeps a picture with its vector, both or none. False where the same file came in meanwhile, whose row stays.
 */
export async function insertImage(ctx: World, row: ImageRow, { space, vector }: Vector): Promise<boolean> {
  const { orgId } = ctx.caller
  const owned = [{ ownerId: row.id, sourceId: row.source_id ?? undefined, vector }]
  const [placed] = await ctx.db.atomically(orgId, (query) => [
    query
      .insert(images)
      .values(row)
      .onConflictDoNothing({ target: [images.org_id, images.sha256] })
      .returning({ id: images.id }),
    insertVectors(query, ctx, { space, ownerKind: 'image', owned }),
    query.execute(sql`delete from embeddings e where e.org_id = ${orgId} and e.owner_kind = 'image'
      and e.owner_id = ${row.id} and not exists (select from images i where i.org_id = ${orgId} and i.id = e.owner_id)`),
  ])
  return placed.length > 0
}

/** Changes what is told of a picture. Throws 404. */
export async function changeImage(ctx: World, id: string, change: ChangeBody): Promise<ImageRow> {
  const { orgId } = ctx.caller
  const { caption, tags, metadata, source_id: sourceId } = change
  const [[row]] = await ctx.db.atomically(orgId, (query) => [
    query
      .update(images)
      .set({
        ...(caption !== undefined && { caption }),
        ...(tags !== undefined && { tags }),
        ...(metadata !== undefined && { metadata }),
        ...(sourceId !== undefined && { source_id: sourceId }),
        updated_at: nowSeconds(ctx),
      })
      .where(isOf(orgId, id))
      .returning(),
    // What a search is narrowed by stands beside the vector.
    query.execute(sql`update embeddings e set source_id = i.source_id from images i
      where e.org_id = ${orgId} and e.owner_kind = 'image' and e.owner_id = ${id} and i.org_id = ${orgId} and i.id = ${id}`),
  ])
  if (!row) throw notFound('image')
  return row
}

/** Removes a picture with its bytes and its vectors. The bytes go first: the row alone knows of them. Throws 404. */
export async function removeImage(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const { r2_key: key } = await readImage(ctx, id)
  if (key !== null) await ctx.bucket.remove([key])
  await ctx.db.atomically(orgId, (query) => [
    deleteVectors(query, ctx, { ownerKind: 'image', ownerIds: [id] }),
    query.delete(images).where(isOf(orgId, id)),
  ])
}
