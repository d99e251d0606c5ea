import { type SQL, sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { indexSettings, isIndexed, type NearestWish, nearestRows, unitVector } from '../spaces/service.ts'
import type { Standpoint } from './hits.ts'
import type { Likeness } from './likeness.ts'

/** Simhashes of near copies differ in no more bits. */
export const ALIKE_BITS = 8

type World = Pick<Ctx, 'db' | 'caller'>

export type Looked = {
  /** Neither the chunk nor the chunks of the source of that name are compared with it. */
  contentId: string
  sha256: string
  simhash: string
  /** Undefined where nothing has a vector to compare with. */
  standpoint: Standpoint | undefined
  /** How many of each kind are looked at. */
  pool: number
}

/** A text that is kept, and may be a duplicate. */
export type Candidate = {
  id: string
  sourceId: string
  content: string
  sha256: string
  /** Unix seconds. */
  createdAt: number
  cosine: number | undefined
}

/** What is known of a text from before: a source or a chunk by that name. */
export type Own = { createdAt: number } | undefined

type Row = {
  id: string
  source_id: string
  content: string
  content_sha256: string
  created_at: number
  similarity: number | null
}

/** Chunks with the same text, with nearly the same simhash, and those nearest by their meaning; and what is known of the text itself. */
export async function readCandidates(ctx: World, looked: Looked): Promise<{ own: Own; candidates: Candidate[] }> {
  const found = await candidatesOf(ctx, looked, false)
  const isShort = looked.standpoint && isIndexed(nearOf(looked, looked.standpoint, false)) && found.near < looked.pool
  // The index is one for all organisations, and gives up when most of what it finds belongs to others.
  return isShort ? candidatesOf(ctx, looked, true) : found
}

async function candidatesOf({ db, caller: { orgId } }: World, looked: Looked, isExact: boolean) {
  const [, owns, sources, found] = await db.atomically(orgId, (query) => [
    indexSettings(query),
    query.execute<{ created_at: number }>(sql`select least(min(s.created_at), min(c.created_at)) as created_at
      from chunks c join semantic_sources s on s.org_id = c.org_id and s.source_id = c.source_id
      where c.org_id = ${orgId} and c.is_current and ${isOwn(looked)}`),
    query.execute<Row>(sql`select s.source_id as id, s.source_id, '' as content, s.content_sha256, s.created_at,
        null::float8 as similarity
      from semantic_sources s
      where s.org_id = ${orgId} and s.content_sha256 = ${looked.sha256} and s.source_id <> ${looked.contentId}
        and s.chunk_count > 1 limit ${looked.pool}`),
    query.execute<Row & { is_near: boolean }>(chunksOf(orgId, looked, isExact)),
  ])
  const createdAt = owns.rows[0]?.created_at
  const own: Own = createdAt === null || createdAt === undefined ? undefined : { createdAt: Number(createdAt) }
  const near = found.rows.filter((row) => row.is_near).length
  return { own, near, candidates: [...sources.rows, ...found.rows].map(candidateOf) }
}

const isOwn = ({ contentId }: Looked): SQL => sql`(c.id = ${contentId} or c.source_id = ${contentId})`

function chunksOf(orgId: string, looked: Looked, isExact: boolean): SQL {
  const { sha256, simhash, standpoint, pool } = looked
  const near = standpoint
    ? nearestRows(orgId, nearOf(looked, standpoint, isExact))
    : sql`select null::text as owner_id, null::float8 as similarity where false`
  // What has no 16 digits is no hash, and would end the statement.
  const bits = sql`case when length(c.simhash) = 16
    then bit_count(('x' || c.simhash)::bit(64) # ('x' || ${simhash}::text)::bit(64)) end`
  return sql`with near as (select owner_id, similarity from (${near}) found),
    same as (select c.id from chunks c where c.org_id = ${orgId} and c.is_current and c.content_sha256 = ${sha256}
      limit ${pool}),
    alike as (select c.id from chunks c where c.org_id = ${orgId} and c.is_current and ${bits} <= ${ALIKE_BITS}
      order by ${bits}, c.id limit ${pool})
    select c.id, c.source_id, c.content, c.content_sha256, s.created_at, near.owner_id is not null as is_near,
      ${cosineOf(orgId, standpoint)} as similarity
    from (select id from same union select id from alike union select owner_id from near) wanted
    join chunks c on c.org_id = ${orgId} and c.id = wanted.id and c.is_current and not ${isOwn(looked)}
    join semantic_sources s on s.org_id = ${orgId} and s.source_id = c.source_id
    left join near on near.owner_id = c.id`
}

const nearOf = ({ pool }: Looked, { space, vector }: Standpoint, isExact: boolean): NearestWish => ({
  space,
  vector,
  ownerKind: 'chunk',
  limit: pool,
  isExact,
  filter: {
    where: sql`exists (select from chunks c where c.org_id = e.org_id and c.id = e.owner_id and c.is_current)`,
  },
})

/** Of what is only written alike, the cosine is looked up where there is a vector. */
function cosineOf(orgId: string, standpoint: Standpoint | undefined): SQL {
  if (!standpoint) return sql`null::float8`
  const { space, vector } = standpoint
  const size = sql.raw(String(space.dimensions))
  const direction = `[${unitVector(vector).join(',')}]`
  return sql`coalesce(near.similarity, (select 1 - (e.embedding::vector(${size}) <=> ${direction}::vector(${size}))
    from embeddings e where e.org_id = ${orgId} and e.space_id = ${space.id} and e.owner_kind = 'chunk' and e.owner_id = c.id))`
}

const candidateOf = (row: Row): Candidate => ({
  id: row.id,
  sourceId: row.source_id,
  content: row.content,
  sha256: row.content_sha256,
  createdAt: Number(row.created_at),
  cosine: row.similarity === null ? undefined : Number(row.similarity),
})

export type Pair = Likeness & { originalId: string; duplicateId: string }

/** Notes pairs, in place of what was noted of the same ones before. */
export async function storePairs(
  ctx: Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'>,
  pairs: readonly Pair[],
): Promise<void> {
  if (pairs.length === 0) return
  const { orgId } = ctx.caller
  const seconds = nowSeconds(ctx)
  const rows = pairs.map(
    ({ originalId, duplicateId, similarity, type, confidence }) =>
      sql`(${ctx.newId('dup')}, ${orgId}, ${originalId}, ${duplicateId}, ${similarity}::real, ${type},
        ${confidence}::real, ${seconds}::bigint, ${seconds}::bigint)`,
  )
  await ctx.db.atomically(orgId, (query) => [
    query.execute(sql`insert into duplicate_pairs (id, org_id, original_content_id, duplicate_content_id,
        similarity_score, duplicate_type, confidence, created_at, updated_at)
      values ${sql.join(rows, sql`, `)}
      on conflict (org_id, original_content_id, duplicate_content_id) do update set
        similarity_score = excluded.similarity_score, duplicate_type = excluded.duplicate_type,
        confidence = excluded.confidence, updated_at = excluded.updated_at`),
  ])
}
