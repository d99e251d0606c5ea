import type { Ctx } from '../../core/context.ts'
import type { Priority } from '../../core/routing.ts'
import type { TaskType } from '../../core/tasks.ts'
import { askVectors, type Bounds, type Embedded, embedded, MAX_INPUTS } from '../embeddings/service.ts'
import { toItsEnd, within } from './within.ts'

/** Texts that are to become vectors. */
export type EmbedWish = {
  /** As a caller would name it. */
  model: string
  texts: readonly string[]
  /** `embedding_generation` unless said. */
  taskType?: TaskType
  /** They never leave the team's own machines. */
  nodesOnly?: boolean
  /** Where the model can make shorter vectors than its own. */
  dimensions?: number
  /** Who goes first where calls have to wait; `normal` unless said. */
  priority?: Priority
}

/** Vendors take so many tokens in one call, and hardly any character is more than one. */
const MAX_CHARS = 300_000

/**
 * Vectors for texts, in their order, all of one target: `model` is its id. As many calls as the texts need, one after
 * another, each booked like a caller's own. Throws as `ask`; what was embedded before a failure has been paid for.
 */
export async function embedTexts(
  ctx: Ctx,
  wish: EmbedWish,
): Promise<{ vectors: number[][]; model: string; promptTokens: number | undefined }> {
  const vectors: number[][] = []
  let model = wish.model
  let promptTokens: number | undefined = 0
  let targetId: string | undefined
  for (const texts of batchesOf(wish.texts)) {
    const { answer, ending } = await toItsEnd(ctx, embedBatch(ctx, { ...wish, texts }, targetId))
    // Vectors of two models cannot be compared: whoever made the first makes them all.
    targetId = ending.target.id
    model = targetId
    for (const vector of answer.vectors) vectors.push(vector)
    promptTokens =
      promptTokens === undefined || answer.promptTokens === undefined ? undefined : promptTokens + answer.promptTokens
  }
  return { vectors, model, promptTokens }
}

async function embedBatch(ctx: Ctx, wish: EmbedWish, targetId: string | undefined): Promise<Embedded> {
  const { model, texts, taskType, nodesOnly, dimensions, priority } = wish
  const helix = { task_type: taskType, priority }
  const request = { model, input: [...texts], ...(dimensions !== undefined && { dimensions }), helix }
  const bounds: Bounds = { ...(nodesOnly && { nodesOnly }), targetId }
  const own = await within(ctx, (deps, policy) => askVectors(deps, policy, { request, bounds }))
  return embedded(own, { request, bounds })
}

/** In their order, in calls of a size that every vendor takes. */
export function* batchesOf(texts: readonly string[]): Generator<string[]> {
  let batch: string[] = []
  let chars = 0
  for (const text of texts) {
    if (batch.length > 0 && (batch.length >= MAX_INPUTS || chars + text.length > MAX_CHARS)) {
      yield batch
      batch = []
      chars = 0
    }
    batch.push(text)
    chars += text.length
  }
  if (batch.length > 0) yield batch
}
