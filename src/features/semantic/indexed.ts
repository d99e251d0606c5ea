import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { JobView } from '../job-queue/service.ts'
import { indexText } from './indexing.ts'
import { MAX_EMBED_CHARS, MAX_TEXT_CHARS, requireLength } from './limits.ts'
import { type CutChunk, cutChunks, givenChunks } from './pieces.ts'
import { type ChunkBody, type ChunkItem, cuttingOf, type IndexBody, type IndexView } from './schema.ts'
import type { ChunkRow } from './store.ts'

/** Cuts a text, and has it searched unless it is only to be shown. A long one is searched once its job is done. */
export async function chunk(
  ctx: Ctx,
  body: ChunkBody,
  isLater: boolean,
): Promise<JobView | ReturnType<typeof chunksView>> {
  const { text, metadata, store, source_id, model_name: modelName } = body
  requireLength('text', text, MAX_TEXT_CHARS)
  const cut = cutChunks(text, cuttingOf(body), metadata)
  if (!store)
    return chunksView(body, { sourceId: source_id ?? null, items: cut.map((one, at) => shown(ctx, one, at, body)) })
  const sourceId = source_id ?? ctx.newId('src')
  const { rows, job } = await indexText(ctx, { sourceId, chunks: cut, metadata, replace: true, modelName, isLater })
  return job ?? chunksView(body, { sourceId, items: rows.map(itemOf) })
}

/** Has a text searched. A long one is searched once its job is done. */
export async function index(ctx: Ctx, body: IndexBody, isLater: boolean): Promise<JobView | IndexView> {
  const { source_id: sourceId, metadata, replace, model_name: modelName } = body
  const { job, view } = await indexText(ctx, {
    sourceId,
    chunks: chunksOf(body),
    metadata,
    replace,
    modelName,
    isLater,
  })
  return job ?? view
}

function chunksOf(body: IndexBody): CutChunk[] {
  const { text = '', chunks, metadata } = body
  requireLength('text', text, MAX_TEXT_CHARS)
  for (const [at, { content }] of (chunks ?? []).entries()) {
    requireLength(`chunks.${at}.content`, content, MAX_EMBED_CHARS)
  }
  return chunks ? givenChunks(chunks, metadata) : cutChunks(text, cuttingOf(body), metadata)
}

function chunksView(body: ChunkBody, { sourceId, items }: { sourceId: string | null; items: ChunkItem[] }) {
  const { size, overlap, unit } = cuttingOf(body)
  return {
    object: 'semantic.chunks' as const,
    source_id: sourceId,
    chunks: items,
    chunking_parameters: { chunk_size: size, chunk_overlap: overlap, unit },
    stored: body.store,
  }
}

const shown = (ctx: Ctx, cut: CutChunk, at: number, { source_id }: ChunkBody): ChunkItem => ({
  id: null,
  content: cut.content,
  chunk_index: at,
  start_offset: cut.startOffset,
  end_offset: cut.endOffset,
  token_count: cut.tokenCount,
  metadata: cut.metadata,
  source_id: source_id ?? null,
  created_at: nowSeconds(ctx),
})

const itemOf = (row: ChunkRow): ChunkItem => ({
  id: row.id,
  content: row.content,
  chunk_index: row.chunk_index,
  start_offset: row.start_offset,
  end_offset: row.end_offset,
  token_count: row.token_count,
  metadata: row.metadata,
  source_id: row.source_id,
  created_at: row.created_at,
})
