import type { Ctx } from '../../core/context.ts'
import { ask } from '../calls/service.ts'
import { chooseModel } from './choice.ts'
import type { Picture } from './picture.ts'
import { type Outcome, tokensOf } from './runs.ts'
import { questionOf } from './showing.ts'

const PROMPT =
  'Describe this image in one or two plain sentences that somebody would use who is looking for it. Name what it shows, ' +
  'its colours and any readable text. Answer with the description alone.'
const MAX_TOKENS = 150
const MAX_CHARS = 2000

/** What a model says that a picture shows; null where it says nothing. Throws as `chooseModel` and `ask`. */
export async function writeCaption(
  ctx: Ctx,
  picture: Picture,
  modelName: string | undefined,
): Promise<{ caption: string | null; outcome: Outcome }> {
  const chosen = await chooseModel(ctx, 'image_captioning', modelName)
  const asked = { picture, chosen, prompt: PROMPT, taskType: 'image_captioning' as const }
  const reply = await ask(ctx, questionOf({ ...asked, maxTokens: MAX_TOKENS, temperature: 0.1 }))
  const text = reply.text.trim().slice(0, MAX_CHARS).toWellFormed()
  return { caption: text === '' ? null : text, outcome: { target: reply.target, tokens: tokensOf(reply) } }
}
