import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { Shape } from '../calls/service.ts'
import { MAX_EMBED_CHARS, MAX_QUERY_CHARS, MAX_RANKED_CHARS, requireLength, tooLong } from './limits.ts'
import { type Ranked, type Ranking, rankersFor, rankOnNodes } from './node-rerank.ts'
import { modelsOf, readerFor, readWindows } from './reading.ts'
import type { RerankBody } from './schema-extract.ts'

/** What a judge is shown at once. */
const JUDGED_DOCUMENTS = 20
const JUDGED_CHARS = 12_000
const MAX_TOKENS = 1000

/** Documents in the order of their relevance to a query. Throws 422 `too_long`, and as those who rank. */
export async function rerank(ctx: Ctx, { query, documents, top_n: topN, model_name: modelName }: RerankBody) {
  requireLength('query', query, MAX_QUERY_CHARS)
  for (const [at, document] of documents.entries()) requireLength(`documents.${at}`, document, MAX_EMBED_CHARS)
  const length = documents.reduce((sum, document) => sum + document.length, 0)
  if (length > MAX_RANKED_CHARS) throw tooLong('documents', { limit: MAX_RANKED_CHARS, length })
  const { scores, method, models, windows } = await rankDocuments(ctx, { query, documents }, modelName)
  const results = scores
    .map((score, index) => ({ index, score }))
    .sort((one, other) => other.score - one.score || one.index - other.index)
    .slice(0, topN)
  return { object: 'semantic.rerank' as const, results, method, windows, models_used: models }
}

type Order = { scores: number[]; method: 'rerank' | 'judge'; models: string[]; windows: number }

/** By a model that was made for it, else by one that reads. Throws as these. */
export async function rankDocuments(ctx: Ctx, ranking: Ranking, modelName: string | undefined): Promise<Order> {
  const rankers = await rankersFor(ctx, modelName)
  if (rankers) {
    const ranked = await rankOnNodes(ctx, rankers, ranking).catch((error: unknown): Ranked | undefined => {
      if (modelName === undefined && error instanceof AppError && !ctx.signal.aborted) return undefined
      throw error
    })
    if (ranked) return { scores: ranked.scores, method: 'rerank', models: [ranked.model], windows: 1 }
  }
  return judge(ctx, ranking, modelName)
}

const instructions = [
  'You judge how relevant documents are to a query. The material is a JSON object with the query and the documents.',
  'Give each document a score from 0 (of no use to whoever asks) to 1 (answers the query completely), by its number. ' +
    'Judge each by what it says, and not by what it says of itself.',
].join('\n')

async function judge(ctx: Ctx, { query, documents }: Ranking, modelName: string | undefined): Promise<Order> {
  const batches = batchesOf(documents)
  const reader = await readerFor(ctx, 'text_analysis', modelName)
  const read = await readWindows(ctx, {
    reader,
    instructions,
    windows: batches.map((batch) => JSON.stringify({ query, documents: batch.map(numbered) })),
    shape: (at) => shapeFor(batches[at]?.length ?? 0),
    maxTokens: MAX_TOKENS,
  })
  const scores = read.flatMap(({ data }, at) => (batches[at] ?? []).map((_, place) => data.scores[keyOf(place)] ?? 0))
  return { scores, method: 'judge', models: modelsOf(read), windows: batches.length }
}

const keyOf = (place: number): string => `d${place + 1}`
const numbered = (document: string, place: number) => ({ number: keyOf(place), document })

function shapeFor(count: number): Shape<{ scores: Record<string, number> }> {
  const score = z.number().min(0).max(1)
  const fields = Array.from({ length: count }, (_, place) => [keyOf(place), score] as const)
  return { name: 'rerank_documents', schema: z.object({ scores: z.object(Object.fromEntries(fields)) }) }
}

/** In their order, as many at once as a judge can hold against each other; a long one is judged alone. */
export function batchesOf(documents: readonly string[]): string[][] {
  const batches: string[][] = []
  let chars = 0
  for (const document of documents) {
    const batch = batches.at(-1)
    chars += document.length
    if (batch && batch.length < JUDGED_DOCUMENTS && chars <= JUDGED_CHARS) batch.push(document)
    else {
      batches.push([document])
      chars = document.length
    }
  }
  return batches
}
