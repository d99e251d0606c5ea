import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { Shape } from '../calls/service.ts'
import { askAbout, ToldBox, ToldConfidence } from './ask-about.ts'
import { type BoxUnit, unitInWords } from './boxes.ts'
import { sourced } from './confidence.ts'
import { confidenceOf, countsOf, objectsIn } from './objects.ts'
import type { DetectBody, DetectView } from './schema.ts'

const MAX_TOKENS = 2000
const MOST_OBJECTS = 100

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

/** Throws as `askAbout`. */
export async function detectObjects(ctx: Ctx, body: DetectBody): Promise<DetectView> {
  const { labels = [], min_confidence: minConfidence, model_name: modelName } = body
  const looking = {
    operation: 'detect-objects',
    source: body,
    modelName,
    promptFor: (unit: BoxUnit) => promptFor(labels, unit),
    maxTokens: MAX_TOKENS,
    shape,
  }
  const answer = await askAbout(ctx, looking, (data, looked) => {
    const objects = objectsIn(data.objects, { ...looked, labels, minConfidence })
    return { objects, counts: countsOf(objects), ...sourced(confidenceOf(objects), 'model') }
  })
  return { object: 'vision.detection', ...answer, detected_at: nowSeconds(ctx) }
}
