import { type SQL, sql } from 'drizzle-orm/sql'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import type { Space } from './spaces.ts'
import { fitting, type OwnerKind } from './store.ts'
import { INDEXED_DIMENSIONS } from './table.ts'
import { unitVector, vectorText } from './vectors.ts'

/** How many of the index's nearest are looked at before the best are taken: more find more, and take longer. */
const EF_SEARCH = 100

export type NearestFilter = {
  /** Only what belongs to one of these. */
  sourceIds?: readonly string[] | undefined
  /** A further condition on rows of `embeddings e`: on their owners, say. It has to name the organisation where it reads a table. */
  where?: SQL | undefined
}

export type NearestWish = {
  space: Space
  /** Of any length but nothing; of the size of the space. */
  vector: readonly number[]
  ownerKind: OwnerKind
  limit: number
  filter?: NearestFilter | undefined
  /** Compares with every vector instead of asking the index, which may miss one. */
  isExact?: boolean | undefined
}

/** The similarity is the cosine of the angle between the two, from -1 to 1. */
export type Neighbour = { ownerId: string; sourceId: string | undefined; similarity: number }

/**
 * The vectors of a space that are nearest to one, the nearest first. Throws 502 `model_output_invalid` for a vector of
 * the wrong size.
 */
export async function nearest(ctx: Pick<Ctx, 'db' | 'caller'>, wish: NearestWish): Promise<Neighbour[]> {
  const rows = await neighbours(ctx, wish)
  // The index is one for all organisations, and gives up when most of what it finds belongs to others.
  const isShort = rows.length < wish.limit && isIndexed(wish)
  return isShort ? neighbours(ctx, { ...wish, isExact: true }) : rows
}

async function neighbours({ db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>, wish: NearestWish) {
  const [, { rows }] = await db.atomically(orgId, (query) => [
    indexSettings(query),
    query.execute<{ owner_id: string; source_id: string | null; similarity: number }>(nearestRows(orgId, wish)),
  ])
  return rows.map(
    ({ owner_id: ownerId, source_id, similarity }): Neighbour => ({
      ownerId,
      sourceId: source_id ?? undefined,
      similarity: Number(similarity),
    }),
  )
}

/** What has to stand before `nearestRows` in its transaction. */
export const indexSettings = (query: QueryBuilder) =>
  query.execute(
    sql`select set_config('hnsw.ef_search', ${String(EF_SEARCH)}, true), set_config('hnsw.iterative_scan', 'strict_order', true)`,
  )

/** Whether an index answers it: those of a few sources are compared one by one, and so are lengths without an index. */
export const isIndexed = ({ space, filter, isExact = false }: Pick<NearestWish, 'space' | 'filter' | 'isExact'>) =>
  !isExact && filter?.sourceIds === undefined && INDEXED_DIMENSIONS.some((length) => length === space.dimensions)

/** A query of `owner_id, source_id, similarity`, the nearest first, for a transaction with `indexSettings`. */
export function nearestRows(orgId: string, wish: NearestWish): SQL {
  const { space, vector, ownerKind, limit, filter } = wish
  const size = sql.raw(String(space.dimensions))
  const direction = vectorText(unitVector(fitting(space, vector)))
  const distance = sql`e.embedding::vector(${size}) <=> ${direction}::vector(${size})`
  // An order that is no bare distance keeps the index out.
  const order = isIndexed(wish) ? distance : sql`(${distance}) + 0`
  const ofSources = filter?.sourceIds === undefined ? sql`` : sql` and e.source_id in ${inList(filter.sourceIds)}`
  const further = filter?.where === undefined ? sql`` : sql` and ${filter.where}`
  return sql`select e.owner_id, e.source_id, 1 - (${distance}) as similarity from embeddings e
    where e.org_id = ${orgId} and e.space_id = ${space.id} and e.owner_kind = ${ownerKind}
      and e.dimensions = ${size}${ofSources}${further}
    order by ${order} limit ${limit}`
}

/** `(null)` holds nothing. */
const inList = (values: readonly string[]): SQL =>
  values.length === 0
    ? sql`(null)`
    : sql`(${sql.join(
        values.map((value) => sql`${value}`),
        sql`, `,
      )})`
