import { type SQL, sql } from 'drizzle-orm/sql'
import type { Ctx } from '../../core/context.ts'
import { indexSettings, isIndexed, type NearestWish, nearestRows, type Space, unitVector } from '../spaces/service.ts'
import { fusedScore } from './fusion.ts'
import { LANGUAGES } from './language.ts'

/** Of each list, so many are looked at. */
const POOL = 50

export type SearchMode = 'semantic' | 'keyword' | 'hybrid'

/** Where the query stands in a space. */
export type Standpoint = { space: Space; vector: readonly number[] }

export type Wanted = {
  query: string
  mode: SearchMode
  /** Undefined where nothing can be found by its meaning: by its words alone. */
  standpoint: Standpoint | undefined
  topK: number
  /** Least cosine of what is found by its meaning. */
  threshold: number
  sourceIds: readonly string[] | undefined
}

export type Hit = {
  id: string
  content: string
  metadata: Record<string, unknown>
  sourceId: string
  chunkIndex: number
  startOffset: number
  endOffset: number
  similarity: number | undefined
  /** 0 to 1. */
  score: number
}

type Row = {
  id: string
  content: string
  metadata: Record<string, unknown>
  source_id: string
  chunk_index: number
  start_offset: number
  end_offset: number
  similarity: number | null
  near_place: number | null
  word_place: number | null
  rank: number | null
}

type World = Pick<Ctx, 'db' | 'caller'>

/** The chunks that fit best, the best first. One statement reads everything: a source is seen as it was at one time. */
export async function findHits(ctx: World, wanted: Wanted): Promise<Hit[]> {
  const rows = await readRows(ctx, wanted)
  const scored = rows.flatMap((row) => {
    const hit = hitOf(row, wanted)
    return hit ? [hit] : []
  })
  return scored.sort((one, other) => other.score - one.score || (one.id < other.id ? -1 : 1)).slice(0, wanted.topK)
}

async function readRows(ctx: World, wanted: Wanted): Promise<Row[]> {
  const rows = await rowsOf(ctx, wanted, false)
  const { mode, standpoint } = wanted
  if (!standpoint || mode === 'keyword' || !isIndexed(nearOf(wanted, standpoint, false))) return rows
  // The index is one for all organisations, and gives up when most of what it finds belongs to others.
  const isShort = rows.filter(({ near_place: place }) => place !== null).length < POOL
  return isShort ? rowsOf(ctx, wanted, true) : rows
}

async function rowsOf({ db, caller: { orgId } }: World, wanted: Wanted, isExact: boolean): Promise<Row[]> {
  const [, { rows }] = await db.atomically(orgId, (query) => [
    indexSettings(query),
    query.execute<Row>(statementOf(orgId, wanted, isExact)),
  ])
  return rows
}

function statementOf(orgId: string, wanted: Wanted, isExact: boolean): SQL {
  const { mode, standpoint } = wanted
  const near =
    standpoint && mode !== 'keyword'
      ? nearestRows(orgId, nearOf(wanted, standpoint, isExact))
      : sql`select null::text as owner_id, null::float8 as similarity where false`
  const words =
    mode === 'semantic'
      ? sql`select null::text as chunk_id, null::real as rank where false`
      : sql`select chunk_id, rank from keyword_hits(${orgId}, ${wanted.query}, ${listText(LANGUAGES)}::regconfig[],
          ${wanted.sourceIds === undefined ? null : listText(wanted.sourceIds)}::text[], ${POOL})`
  return sql`with near as (select owner_id, similarity, row_number() over (order by similarity desc) as place
      from (${near}) found),
    words as (select chunk_id, rank, row_number() over (order by rank desc, chunk_id) as place from (${words}) found)
    select c.id, c.content, c.metadata, c.source_id, c.chunk_index, c.start_offset, c.end_offset,
      ${similarityOf(orgId, wanted)} as similarity, near.place::int as near_place, words.place::int as word_place, words.rank
    from near full join words on words.chunk_id = near.owner_id
    join chunks c on c.org_id = ${orgId} and c.id = coalesce(near.owner_id, words.chunk_id) and c.is_current`
}

/** Of what was found by its words alone, the cosine is looked up where there is a vector. */
function similarityOf(orgId: string, { mode, standpoint }: Wanted): SQL {
  if (mode !== 'hybrid' || !standpoint) return sql`near.similarity`
  const { id, dimensions } = standpoint.space
  const size = sql.raw(String(dimensions))
  const direction = `[${unitVector(standpoint.vector).join(',')}]`
  return sql`coalesce(near.similarity, (select 1 - (e.embedding::vector(${size}) <=> ${direction}::vector(${size}))
    from embeddings e where e.org_id = ${orgId} and e.space_id = ${id} and e.owner_kind = 'chunk' and e.owner_id = c.id))`
}

const nearOf = ({ sourceIds }: Wanted, { space, vector }: Standpoint, isExact: boolean): NearestWish => ({
  space,
  vector,
  ownerKind: 'chunk',
  limit: POOL,
  isExact,
  filter: {
    sourceIds,
    where: sql`exists (select from chunks c where c.org_id = e.org_id and c.id = e.owner_id and c.is_current)`,
  },
})

/** Texts as Postgres reads an array of them. */
const listText = (texts: readonly string[]): string =>
  `{${texts.map((text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`

function hitOf(row: Row, { mode, threshold }: Wanted): Hit | undefined {
  const similarity = row.similarity === null ? undefined : Number(row.similarity)
  const isNear = row.near_place !== null && (similarity ?? 0) >= threshold
  const near = isNear ? Number(row.near_place) : undefined
  const word = row.word_place === null ? undefined : Number(row.word_place)
  if (near === undefined && word === undefined) return undefined
  const score = { semantic: similarity ?? 0, keyword: Number(row.rank ?? 0), hybrid: fusedScore({ near, word }) }[mode]
  return {
    id: row.id,
    content: row.content,
    metadata: row.metadata,
    sourceId: row.source_id,
    chunkIndex: Number(row.chunk_index),
    startOffset: Number(row.start_offset),
    endOffset: Number(row.end_offset),
    similarity,
    score: Math.min(1, Math.max(0, score)),
  }
}
