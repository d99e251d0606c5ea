import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { askAgent } from '../calls/service.ts'
import { type SelectedSpeech, speechProvider } from '../node-models/service.ts'

/** With the time that a model takes to be loaded. */
const EMBED_MS = 60_000

/** A model of an agent that puts pictures and texts into one space. `id` is `node/model`. */
export type Embedder = Pick<SelectedSpeech, 'provider' | 'model'> & { id: string }

/** Pictures in base64. */
export type Embeddable = { image: string } | { text: string }

/** What embeds pictures: that model, or the best there is. Undefined where none can be reached. */
export async function embedderFor(ctx: Ctx, modelId?: string): Promise<Embedder | undefined> {
  try {
    const { provider, model } = await speechProvider(ctx, 'image_embedding', modelId)
    return { provider, model, id: `${provider.name}/${model}` }
  } catch (error) {
    if (error instanceof AppError && NONE.has(error.code)) return undefined
    throw error
  }
}

const NONE: ReadonlySet<string> = new Set(['no_capable_model', 'model_not_found', 'wrong_capability'])

const Embedded = z.object({ data: z.array(z.object({ embedding: z.array(z.number()).min(1) })).length(1) })

/** The vector of a picture or a text. Throws as `askAgent`. */
export async function embedOne(ctx: Ctx, { provider, model }: Embedder, input: Embeddable): Promise<number[]> {
  const { value } = await askAgent(ctx, {
    models: [{ provider, model }],
    path: '/v1/embeddings',
    body: { input: [input] },
    operation: 'embedding',
    taskType: 'embedding_generation',
    class: 'vision',
    timeoutMs: EMBED_MS,
    read: (answer) => Embedded.safeParse(answer).data?.data[0]?.embedding,
  })
  return value
}
