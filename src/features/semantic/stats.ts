import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { learnNodes, targetsFor } from '../routing/service.ts'
import { DEFAULT_TEXT_MODEL, textSpaceOf } from '../spaces/service.ts'
import { MAX_CHUNKS, MAX_EMBED_CHARS, MAX_QUERY_CHARS, MAX_TEXT_CHARS, MOST_AT_ONCE } from './limits.ts'

const STATS_SECONDS = 30 * 86_400

const countsOf = (orgId: string) =>
  sql`select count(*)::int as sources, coalesce(sum(chunk_count), 0)::int as chunks from semantic_sources
    where org_id = ${orgId}`

/** What configures every search, for `GET /stats`. */
const configuration = {
  chunk_size: 1000,
  chunk_overlap: 200,
  search_threshold: 0.7,
  search_pool: 50,
  fusion_softening: 60,
  max_embed_characters: MAX_EMBED_CHARS,
  max_text_characters: MAX_TEXT_CHARS,
  max_query_characters: MAX_QUERY_CHARS,
  max_chunks: MAX_CHUNKS,
  chunks_before_a_job: MOST_AT_ONCE,
  default_model: DEFAULT_TEXT_MODEL,
}

export async function statsOf({ db, caller: { orgId }, now }: Ctx) {
  const since = nowSeconds({ now }) - STATS_SECONDS
  const [counts, spaces, searches] = await db.atomically(orgId, (query) => [
    query.execute<{ sources: number; chunks: number }>(countsOf(orgId)),
    query.execute<{
      id: string
      model: string
      dimensions: number
      modality: 'text' | 'image' | 'caption'
      is_default: boolean
      vectors: number
    }>(sql`select s.id, s.model, s.dimensions, s.modality, s.is_default,
        (select count(*)::int from embeddings e where e.org_id = ${orgId} and e.space_id = s.id) as vectors
      from embedding_spaces s where s.org_id = ${orgId} order by s.is_default desc, s.id`),
    query.execute<{ mode: string; count: number; without_results: number; ms: number }>(sql`select mode,
        count(*)::int as count, (count(*) filter (where results = 0))::int as without_results, sum(ms)::float8 as ms
      from semantic_searches where org_id = ${orgId} and created_at >= ${since} group by mode order by mode`),
  ])
  const [all] = counts.rows
  const count = searches.rows.reduce((sum, row) => sum + Number(row.count), 0)
  return {
    object: 'semantic.stats' as const,
    sources: Number(all?.sources ?? 0),
    chunks: Number(all?.chunks ?? 0),
    spaces: spaces.rows,
    searches: {
      count,
      without_results: searches.rows.reduce((sum, row) => sum + Number(row.without_results), 0),
      mean_ms: count === 0 ? null : searches.rows.reduce((sum, row) => sum + Number(row.ms), 0) / count,
      by_mode: Object.fromEntries(searches.rows.map((row) => [row.mode, Number(row.count)])),
    },
    configuration,
  }
}

/** Whether texts can be found by their meaning now, and what there is to be found. */
export async function healthOf(ctx: Ctx) {
  const { db, caller } = ctx
  const space = await textSpaceOf(ctx)
  await learnNodes(ctx)
  const model = space?.model ?? DEFAULT_TEXT_MODEL
  const available = targetsFor(ctx, ctx.admission.policy, { model, kind: 'embedding' }).targets.length > 0
  const [{ rows }] = await db.atomically(caller.orgId, (query) => [
    query.execute<{ sources: number; chunks: number }>(countsOf(caller.orgId)),
  ])
  return {
    object: 'semantic.health' as const,
    status: available ? ('healthy' as const) : ('degraded' as const),
    embedding: { available, model, space_id: space?.id ?? null },
    sources: Number(rows[0]?.sources ?? 0),
    chunks: Number(rows[0]?.chunks ?? 0),
  }
}
