import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { askForData, type Shape } from '../calls/service.ts'
import { type BoxUnit, boxUnitOf } from './boxes.ts'
import { chooseModel } from './choice.ts'
import type { Confidence } from './confidence.ts'
import { MAX_SHOWN_BYTES } from './limits.ts'
import { metadataOf, type PictureSource, readPicture } from './picture.ts'
import { recorded, tokensOf } from './runs.ts'
import type { PictureMetadata } from './schema.ts'
import { lastQuestionOf } from './showing.ts'

/** Room for models that count in pixels. */
const Coordinate = z.number().min(-100_000).max(100_000)
export const ToldBox = z.object({ x1: Coordinate, y1: Coordinate, x2: Coordinate, y2: Coordinate })
export const ToldConfidence = z.number().min(0).max(1).nullable()

export type Looking<T> = {
  operation: string
  source: PictureSource
  modelName: string | undefined
  /** What is asked, with boxes in what the model counts in. */
  promptFor: (unit: BoxUnit) => string
  maxTokens: number
  shape: Shape<T>
}

export type LookedAt = { unit: BoxUnit; image: { width: number; height: number } }

/** What every answer about a picture has beside the answer. */
export type Facts = {
  filename: string | null
  model_used: string
  processing_time_ms: number
  metadata: z.input<typeof PictureMetadata>
}

/**
 * Asks a model for data about a picture, and has `read` make of them what the caller is told. Throws as `readPicture`,
 * `chooseModel` and `askForData`.
 */
export async function askAbout<T, Answer extends Confidence>(
  ctx: Ctx,
  { operation, source, modelName, promptFor, maxTokens, shape }: Looking<T>,
  read: (data: T, looked: LookedAt) => Answer,
): Promise<Answer & Facts> {
  const picture = await readPicture(ctx, source, MAX_SHOWN_BYTES)
  return recorded(ctx, { operation, picture }, async () => {
    const startMs = ctx.now()
    const chosen = await chooseModel(ctx, 'image_analysis', modelName)
    const unit = boxUnitOf(chosen.model)
    const asked = { picture, prompt: promptFor(unit), chosen, taskType: 'image_analysis' as const }
    const question = lastQuestionOf({ ...asked, maxTokens, temperature: 0.1 })
    const { data, reply } = await askForData(ctx, question, shape)
    const answer = read(data, { unit, image: picture.image })
    const tokens = tokensOf(reply)
    const facts: Facts = {
      filename: picture.filename ?? null,
      model_used: reply.target.id,
      processing_time_ms: Math.max(0, Math.round(ctx.now() - startMs)),
      metadata: { ...metadataOf(picture), tokens: tokens ?? null },
    }
    return {
      answer: { ...answer, ...facts },
      outcome: { target: reply.target, tokens, confidence: answer.confidence },
    }
  })
}
