import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type Space, textSpaceOf } from '../spaces/service.ts'
import { embedLong } from './embedding.ts'
import { findHits, type Hit, type Standpoint } from './hits.ts'
import { MAX_QUERY_CHARS, MAX_RANKED_CHARS, requireLength } from './limits.ts'
import { rankDocuments } from './rerank.ts'
import type { SearchBody, SearchResult } from './schema.ts'
import { semanticSearches } from './table.ts'

/**
 * What fits a query best. It is written down after the answer. Throws as `embedLong`, but never for words alone, and where it
 * is to be put in a new order, as `rankDocuments`.
 */
export async function search(ctx: Ctx, body: SearchBody) {
  const { query, mode, top_k: topK, threshold, source_filter: sourceIds } = body
  requireLength('query', query, MAX_QUERY_CHARS)
  const standpoint = mode === 'keyword' ? undefined : await standpointOf(ctx, body)
  const startMs = ctx.now()
  const pool = body.rerank ? Math.max(topK, RERANKED) : topK
  const found = await findHits(ctx, { query, mode, standpoint, topK: pool, threshold, sourceIds })
  const { hits, models } = body.rerank ? await reranked(ctx, query, found) : { hits: found, models: [] }
  hits.splice(topK)
  const ms = ctx.now() - startMs
  ctx.defer(record(ctx, { body, hits, space: standpoint?.space, ms }))
  return {
    object: 'semantic.search' as const,
    results: hits.map(resultOf),
    search_parameters: {
      mode,
      top_k: topK,
      threshold,
      source_filter: sourceIds ?? null,
      model_used: standpoint?.space.model ?? null,
      space_id: standpoint?.space.id ?? null,
      rerank: body.rerank,
      reranked_by: models,
    },
  }
}

/** So many of what was found are put in a new order. */
const RERANKED = 30

/** What was found, in the order of its relevance to the query; what is behind the first thirty stays behind them. */
async function reranked(ctx: Ctx, query: string, found: readonly Hit[]): Promise<{ hits: Hit[]; models: string[] }> {
  let chars = 0
  const read = found.slice(0, RERANKED).filter(({ content }) => {
    chars += content.length
    return chars <= MAX_RANKED_CHARS
  })
  if (read.length < 2) return { hits: [...found], models: [] }
  const { scores, models } = await rankDocuments(
    ctx,
    { query, documents: read.map(({ content }) => content) },
    undefined,
  )
  const best = read.map((hit, at) => ({ ...hit, score: scores[at] ?? 0 })).sort((one, other) => other.score - one.score)
  const least = best.at(-1)?.score ?? 0
  const rest = found.slice(read.length).map((hit) => ({ ...hit, score: Math.min(hit.score, least) }))
  return { hits: [...best, ...rest], models }
}

/** Undefined where no text was ever embedded with that model: a model that is not there is told nevertheless. */
export async function standpointOf(
  ctx: Ctx,
  { query, model_name: modelName }: Pick<SearchBody, 'query' | 'model_name'>,
): Promise<Standpoint | undefined> {
  const space = await textSpaceOf(ctx, modelName)
  const asked = modelName === undefined ? undefined : (space?.model ?? modelName)
  const { vectors, model } = await embedLong(ctx, { texts: [query], modelName: asked, priority: 'high' })
  const [vector] = vectors
  return space && vector && model === space.model ? { space, vector } : undefined
}

const resultOf = ({ id, content, metadata, sourceId, similarity, score, ...hit }: Hit): SearchResult => ({
  content_id: id,
  content,
  similarity_score: similarity ?? null,
  score,
  metadata,
  source_id: sourceId,
  chunk_index: hit.chunkIndex,
  start_offset: hit.startOffset,
  end_offset: hit.endOffset,
})

type Found = { body: SearchBody; hits: readonly Hit[]; space: Space | undefined; ms: number }

async function record(ctx: Ctx, { body, hits, space, ms }: Found): Promise<void> {
  const { orgId, userId } = ctx.caller
  const row = {
    id: ctx.newId('sse'),
    org_id: orgId,
    request_id: ctx.requestId,
    query: body.query,
    mode: body.mode,
    space_id: space?.id ?? null,
    top_k: body.top_k,
    results: hits.length,
    best_score: hits[0]?.score ?? null,
    ms: Math.max(0, Math.round(ms)),
    created_by: userId ?? null,
    created_at: nowSeconds(ctx),
  }
  try {
    await ctx.db.atomically(orgId, (query) => [query.insert(semanticSearches).values(row)])
  } catch (cause) {
    ctx.log.warn('search_not_recorded', { org_id: orgId, cause: String(cause) })
  }
}
