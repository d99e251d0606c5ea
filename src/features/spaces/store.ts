import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import type { Space } from './spaces.ts'
import { embeddings } from './table.ts'
import { badVector, unitVector } from './vectors.ts'

export type OwnerKind = (typeof embeddings.$inferSelect)['owner_kind']

/** A vector and whose it is. */
export type OwnedVector = {
  ownerId: string
  /** What the owner belongs to, where searches may be narrowed to that. */
  sourceId?: string | undefined
  /** Of any length but nothing. */
  vector: readonly number[]
}

type World = Pick<Ctx, 'db' | 'caller' | 'now'>
type Into = { space: Space; ownerKind: OwnerKind }

/** A statement holds no more of them: each is up to 20 kB of text. */
const AT_ONCE = 100

/**
 * Keeps vectors of a space, in place of those that their owners had in it. Throws 502 `model_output_invalid` for one of
 * the wrong size.
 */
export async function storeVectors(ctx: World, into: Into, owned: readonly OwnedVector[]): Promise<void> {
  const { orgId } = ctx.caller
  for (let at = 0; at < owned.length; at += AT_ONCE) {
    const some = owned.slice(at, at + AT_ONCE)
    await ctx.db.atomically(orgId, (query) => [insertVectors(query, ctx, { ...into, owned: some })])
  }
}

/** The statement of `storeVectors`, for a transaction that holds more. At least one vector. */
export function insertVectors(
  query: QueryBuilder,
  { caller: { orgId }, now }: Pick<World, 'caller' | 'now'>,
  { space, ownerKind, owned }: Into & { owned: readonly OwnedVector[] },
) {
  const createdAt = Math.floor(now() / 1000)
  const rows = owned.map(({ ownerId, sourceId, vector }) => ({
    org_id: orgId,
    space_id: space.id,
    owner_kind: ownerKind,
    owner_id: ownerId,
    source_id: sourceId ?? null,
    dimensions: space.dimensions,
    embedding: unitVector(fitting(space, vector)),
    created_at: createdAt,
  }))
  return query
    .insert(embeddings)
    .values(rows)
    .onConflictDoUpdate({
      target: [embeddings.org_id, embeddings.space_id, embeddings.owner_kind, embeddings.owner_id],
      set: { embedding: sql`excluded.embedding`, source_id: sql`excluded.source_id` },
    })
}

/** The vector, which is one of that space by its length. Throws 502 `model_output_invalid`. */
export function fitting({ id, dimensions }: Space, vector: readonly number[]): readonly number[] {
  if (vector.length === dimensions) return vector
  throw badVector(`The model's vector is no vector of the space ${id}.`, { expected: dimensions, got: vector.length })
}

/** Takes away the vectors of these owners, of every space. */
export async function removeVectors(
  ctx: Pick<World, 'db' | 'caller'>,
  owners: { ownerKind: OwnerKind; ownerIds: readonly string[] },
): Promise<void> {
  if (owners.ownerIds.length === 0) return
  await ctx.db.atomically(ctx.caller.orgId, (query) => [deleteVectors(query, ctx, owners)])
}

/** The statement of `removeVectors`, for a transaction that holds more. */
export const deleteVectors = (
  query: QueryBuilder,
  { caller: { orgId } }: Pick<World, 'caller'>,
  { ownerKind, ownerIds }: { ownerKind: OwnerKind; ownerIds: readonly string[] },
) =>
  query
    .delete(embeddings)
    .where(
      and(
        eq(embeddings.org_id, orgId),
        eq(embeddings.owner_kind, ownerKind),
        inArray(embeddings.owner_id, [...ownerIds]),
      ),
    )

/** The vectors that these owners have in a space, by owner. */
export async function vectorsOf(
  { db, caller: { orgId } }: Pick<World, 'db' | 'caller'>,
  { space, ownerKind, ownerIds }: Into & { ownerIds: readonly string[] },
): Promise<Map<string, number[]>> {
  if (ownerIds.length === 0) return new Map()
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ ownerId: embeddings.owner_id, vector: embeddings.embedding })
      .from(embeddings)
      .where(
        and(
          eq(embeddings.org_id, orgId),
          eq(embeddings.space_id, space.id),
          eq(embeddings.owner_kind, ownerKind),
          inArray(embeddings.owner_id, [...ownerIds]),
        ),
      ),
  ])
  return new Map(rows.map(({ ownerId, vector }) => [ownerId, vector]))
}
