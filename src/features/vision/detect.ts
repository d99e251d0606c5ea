import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { askForData, type Shape } from '../calls/service.ts'
import { type BoxUnit, boxUnitOf, unitInWords } from './boxes.ts'
import { chooseModel } from './choice.ts'
import { sourced } from './confidence.ts'
import { MAX_SHOWN_BYTES } from './limits.ts'
import { confidenceOf, countsOf, objectsIn } from './objects.ts'
import { metadataOf, readPicture } from './picture.ts'
import { recorded, tokensOf } from './runs.ts'
import type { DetectBody, DetectView } from './schema.ts'
import { lastQuestionOf } from './showing.ts'

const MAX_TOKENS = 2000
const MOST_OBJECTS = 100

/** Room for models that count in pixels. */
const Coordinate = z.number().min(-100_000).max(100_000)
export const ToldBox = z.object({ x1: Coordinate, y1: Coordinate, x2: Coordinate, y2: Coordinate })
export const ToldConfidence = z.number().min(0).max(1).nullable()

const Sighted = z.object({
  objects: z
    .array(z.object({ name: z.string().min(1).max(100), box: ToldBox, confidence: ToldConfidence }))
    .max(MOST_OBJECTS),
})
const shape: Shape<z.output<typeof Sighted>> = { name: 'detect_objects', schema: Sighted }

function promptFor(labels: readonly string[], unit: BoxUnit): string {
  const what =
    labels.length === 0
      ? `every object that you can see in this image, up to ${MOST_OBJECTS}, the largest first`
      : `every object in this image that is one of ${JSON.stringify(labels)}, and name it so`
  return [
    `List ${what}.`,
    `Give each its own box: x1, y1 of its top left and x2, y2 of its bottom right corner, ${unitInWords[unit]}.`,
    'Give as confidence how sure you are of it, from 0 to 1, or null. If there is nothing, the list is empty.',
  ].join(' ')
}

/** Throws as `readPicture`, `chooseModel` and `askForData`. */
export async function detectObjects(ctx: Ctx, body: DetectBody): Promise<DetectView> {
  const picture = await readPicture(ctx, body, MAX_SHOWN_BYTES)
  return recorded(ctx, { operation: 'detect-objects', picture }, async () => {
    const startMs = ctx.now()
    const chosen = await chooseModel(ctx, 'image_analysis', body.model_name)
    const labels = body.labels ?? []
    const prompt = promptFor(labels, boxUnitOf(chosen.model))
    const asked = { picture, prompt, chosen, taskType: 'image_analysis' as const }
    const question = lastQuestionOf({ ...asked, maxTokens: MAX_TOKENS, temperature: 0.1 })
    const { data, reply } = await askForData(ctx, question, shape)
    const objects = objectsIn(data.objects, {
      unit: boxUnitOf(chosen.model),
      image: picture.image,
      labels,
      minConfidence: body.min_confidence,
    })
    const confidence = confidenceOf(objects)
    const tokens = tokensOf(reply)
    const answer: DetectView = {
      object: 'vision.detection',
      filename: picture.filename ?? null,
      model_used: reply.target.id,
      processing_time_ms: Math.max(0, Math.round(ctx.now() - startMs)),
      objects,
      counts: countsOf(objects),
      ...sourced(confidence, 'model'),
      metadata: { ...metadataOf(picture), tokens: tokens ?? null },
      detected_at: nowSeconds(ctx),
    }
    return { answer, outcome: { target: reply.target, tokens, confidence } }
  })
}
