import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { Shape } from '../calls/service.ts'
import { askAbout, type LookedAt, ToldBox, ToldConfidence } from './ask-about.ts'
import { type Box, type BoxUnit, boxOf, toldUnit, unitInWords } from './boxes.ts'
import { meanConfidence, sourced } from './confidence.ts'
import type { ExtractBody, ExtractView } from './schema.ts'

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
export function blocksIn(told: readonly Told[], { unit, image, layout }: LookedAt & { layout: boolean }): Block[] {
  const corners = told.flatMap(({ box }) => (box ? [box] : []))
  const said = toldUnit(corners, unit, image)
  return told.flatMap(({ text: written, box, confidence }) => {
    const text = written.replace(/\r\n?/g, '\n').replace(/^\n+|\s+$/g, '')
    if (text.trim() === '') return []
    return [{ text, box: (layout && box && boxOf(box, said, image)) || null, confidence }]
  })
}

/** Throws as `askAbout`. */
export async function extractText(ctx: Ctx, body: ExtractBody): Promise<ExtractView> {
  const { layout, model_name: modelName } = body
  const looking = {
    operation: 'extract-text',
    source: body,
    modelName,
    promptFor: (unit: BoxUnit) => promptFor(body, unit),
    maxTokens: MAX_TOKENS,
    shape,
  }
  const answer = await askAbout(ctx, looking, (data, looked) => {
    const blocks = blocksIn(data.blocks, { ...looked, layout })
    const confidence = meanConfidence(
      blocks.map(({ text, confidence: sure }) => ({ confidence: sure, weight: text.length })),
    )
    return {
      extracted_text: blocks.map(({ text }) => text).join('\n'),
      has_text: blocks.length > 0,
      blocks,
      ...sourced(confidence, 'model'),
    }
  })
  return { object: 'vision.text', ...answer, extracted_at: nowSeconds(ctx) }
}
