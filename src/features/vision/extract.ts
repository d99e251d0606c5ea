import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { askForData, type Shape } from '../calls/service.ts'
import type { Image } from '../media/service.ts'
import { type Box, type BoxUnit, boxOf, boxUnitOf, toldUnit, unitInWords } from './boxes.ts'
import { chooseModel } from './choice.ts'
import { meanConfidence, sourced } from './confidence.ts'
import { ToldBox, ToldConfidence } from './detect.ts'
import { MAX_SHOWN_BYTES } from './limits.ts'
import { metadataOf, readPicture } from './picture.ts'
import { recorded, tokensOf } from './runs.ts'
import type { ExtractBody, ExtractView } from './schema.ts'
import { lastQuestionOf } from './showing.ts'

const MAX_TOKENS = 4000

const Read = z.object({
  blocks: z
    .array(z.object({ text: z.string().max(20_000), box: ToldBox.nullable(), confidence: ToldConfidence }))
    .max(500),
})
type Told = z.output<typeof Read>['blocks'][number]
const shape: Shape<z.output<typeof Read>> = { name: 'extract_text', schema: Read }

function promptFor({ language, layout }: ExtractBody, unit: BoxUnit): string {
  return [
    'Read all text in this image, block by block in reading order, exactly as it is written.',
    'Keep its line breaks, do not translate and do not add anything.',
    ...(language === undefined ? [] : [`It is probably in this language: ${JSON.stringify(language)}.`]),
    layout
      ? `Give as box of each block x1, y1 of its top left and x2, y2 of its bottom right corner, ${unitInWords[unit]}.`
      : 'Give null as box of each block.',
    'Give as confidence how sure you are of a block, from 0 to 1, or null. If there is no text, the list is empty.',
  ].join(' ')
}

export type Block = { text: string; box: Box | null; confidence: number | null }

/** The blocks that say something, with their boxes inside of the picture. */
export function blocksIn(
  told: readonly Told[],
  { unit, image, layout }: { unit: BoxUnit; image: Pick<Image, 'width' | 'height'>; layout: boolean },
): Block[] {
  const corners = told.flatMap(({ box }) => (box ? [box] : []))
  const said = toldUnit(corners, unit, image)
  return told.flatMap(({ text: written, box, confidence }) => {
    const text = written.replace(/\r\n?/g, '\n').replace(/^\n+|\s+$/g, '')
    if (text.trim() === '') return []
    return [{ text, box: (layout && box && boxOf(box, said, image)) || null, confidence }]
  })
}

/** Throws as `readPicture`, `chooseModel` and `askForData`. */
export async function extractText(ctx: Ctx, body: ExtractBody): Promise<ExtractView> {
  const picture = await readPicture(ctx, body, MAX_SHOWN_BYTES)
  return recorded(ctx, { operation: 'extract-text', picture }, async () => {
    const startMs = ctx.now()
    const chosen = await chooseModel(ctx, 'image_analysis', body.model_name)
    const unit = boxUnitOf(chosen.model)
    const asked = { picture, prompt: promptFor(body, unit), chosen, taskType: 'image_analysis' as const }
    const question = lastQuestionOf({ ...asked, maxTokens: MAX_TOKENS, temperature: 0.1 })
    const { data, reply } = await askForData(ctx, question, shape)
    const blocks = blocksIn(data.blocks, { unit, image: picture.image, layout: body.layout })
    const confidence = meanConfidence(
      blocks.map(({ text, confidence: sure }) => ({ confidence: sure, weight: text.length })),
    )
    const tokens = tokensOf(reply)
    const answer: ExtractView = {
      object: 'vision.text',
      filename: picture.filename ?? null,
      model_used: reply.target.id,
      processing_time_ms: Math.max(0, Math.round(ctx.now() - startMs)),
      extracted_text: blocks.map(({ text }) => text).join('\n'),
      has_text: blocks.length > 0,
      blocks,
      ...sourced(confidence, 'model'),
      metadata: { ...metadataOf(picture), tokens: tokens ?? null },
      extracted_at: nowSeconds(ctx),
    }
    return { answer, outcome: { target: reply.target, tokens, confidence } }
  })
}
