import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { Priority } from '../../core/routing.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { learnNodes, listingOf } from '../routing/service.ts'
import {
  cosine,
  DEFAULT_TEXT_MODEL,
  embedFor,
  meanVector,
  type Space,
  textSpaceOf,
  unitVector,
  vectorsOf,
} from '../spaces/service.ts'
import { chunkText } from './chunker.ts'
import { MAX_EMBED_CHARS, requireLength } from './limits.ts'
import type { EmbedBatchBody, EmbedBody, SimilarityBody } from './schema.ts'

/** What a model takes of whose window nothing is known: the least of those that are in use. */
const USUAL_WINDOW = 512
/** Estimates are off by so much: what fills a window by estimate alone may be more than it holds. */
const FILLED = 0.7
const LEAST_TOKENS = 64

export type LongTexts = { texts: readonly string[]; modelName?: string | undefined; priority?: Priority | undefined }

/** Unit vectors in the order of the texts, and into how many windows each text was cut. */
export type LongVectors = {
  vectors: number[][]
  windows: number[]
  /** The target that made them. */
  model: string
  /** Where the vectors of that model are; undefined where it was not looked for. */
  space: Space | undefined
}

/**
 * Embeds texts of any length: one that is longer than the model's window is cut, and its vector is the mean of its
 * windows', weighted by their tokens. Throws as `embedFor` of spaces.
 */
export async function embedLong(ctx: Ctx, { texts, modelName, priority }: LongTexts): Promise<LongVectors> {
  const size = await windowOf(ctx, modelName)
  const cut = texts.map((text) => windowsOf(text, size))
  const answer = await embedFor(ctx, { texts: cut.flat(), modelName, priority })
  let at = 0
  const vectors = cut.map((windows) => {
    const own = answer.vectors.slice(at, at + windows.length)
    at += windows.length
    const [only] = own
    return own.length === 1 && only ? unitVector(only) : meanVector(own, windows.map(estimateTokens))
  })
  return { vectors, windows: cut.map(({ length }) => length), model: answer.model, space: answer.space }
}

function windowsOf(text: string, size: number): string[] {
  // No tokenizer makes more tokens of a text than it has bytes.
  if (text.length * 3 <= size || estimateTokens(text) <= size) return [text]
  return chunkText(text, { size, overlap: 0, unit: 'token' }).map(({ start, end }) => text.slice(start, end))
}

/** In tokens as we estimate them. */
async function windowOf(ctx: Ctx, modelName: string | undefined): Promise<number> {
  const name = modelName ?? (await textSpaceOf(ctx))?.model ?? DEFAULT_TEXT_MODEL
  await learnNodes(ctx)
  const bare = name.slice(name.indexOf('/') + 1)
  const known = [...ctx.providers.values()].flatMap((provider) => {
    const listed = provider.kind === 'node' ? listingOf(ctx, provider)?.models : provider.account?.models
    return (listed ?? []).filter((model) => [name, bare, `${name}:latest`].includes(model.name))
  })
  const windows = known.flatMap(({ contextWindow }) => (contextWindow === undefined ? [] : [contextWindow]))
  return Math.max(LEAST_TOKENS, Math.floor(Math.min(...(windows.length > 0 ? windows : [USUAL_WINDOW])) * FILLED))
}

export async function embedOne(ctx: Ctx, { text, model_name: modelName }: EmbedBody) {
  requireLength('text', text, MAX_EMBED_CHARS)
  const { vectors, windows, model } = await embedLong(ctx, { texts: [text], modelName })
  const [embedding = []] = vectors
  return {
    object: 'semantic.embedding' as const,
    embedding,
    dimensions: embedding.length,
    model_used: model,
    text_length: text.length,
    windows: windows[0] ?? 1,
    generated_at: nowSeconds(ctx),
  }
}

export async function embedBatch(ctx: Ctx, { texts, model_name: modelName }: EmbedBatchBody) {
  for (const [at, text] of texts.entries()) requireLength(`texts.${at}`, text, MAX_EMBED_CHARS)
  const { vectors, windows, model } = await embedLong(ctx, { texts, modelName })
  return {
    object: 'semantic.embeddings' as const,
    embeddings: vectors,
    windows,
    dimensions: vectors[0]?.length ?? 0,
    model_used: model,
    generated_at: nowSeconds(ctx),
  }
}

/** How near two texts or two chunks are. Throws 404 for a chunk that is not there, or has no vector of the space. */
export async function similarityOf(ctx: Ctx, { texts, ids, model_name: modelName }: SimilarityBody) {
  const { model, vectors } = ids ? await vectorsOfChunks(ctx, ids, modelName) : await embedPair(ctx, texts, modelName)
  const [one = [], other = []] = vectors
  return {
    object: 'semantic.similarity' as const,
    similarity: Math.min(1, Math.max(0, cosine(one, other))),
    model_used: model,
  }
}

async function embedPair(ctx: Ctx, texts: readonly string[] = [], modelName: string | undefined) {
  for (const [at, text] of texts.entries()) requireLength(`texts.${at}`, text, MAX_EMBED_CHARS)
  return embedLong(ctx, { texts, modelName })
}

async function vectorsOfChunks(ctx: Ctx, ids: readonly string[], modelName: string | undefined) {
  const space = await textSpaceOf(ctx, modelName)
  if (!space) throw new AppError('not_found', 'Nothing was embedded with that model.')
  const found = await vectorsOf(ctx, { space, ownerKind: 'chunk', ownerIds: ids })
  const vectors = ids.map((id) => {
    const vector = found.get(id)
    if (!vector) throw notFound('chunk')
    return vector
  })
  return { model: space.model, vectors }
}
