import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { ask, type Question, type Reply } from '../calls/service.ts'
import { agreementOf, tokenProbabilityOf } from '../ensembles/service.ts'
import { type Chosen, chooseModel } from './choice.ts'
import { type Confidence, sourced } from './confidence.ts'
import { MAX_SHOWN_BYTES, requirePrompt } from './limits.ts'
import { metadataOf, type Picture, readPicture } from './picture.ts'
import { recorded, tokensOf } from './runs.ts'
import type { AnalyzeBody, AnalyzeView } from './schema.ts'
import { lastQuestionOf, questionOf } from './showing.ts'

/** A second answer that is to tell something must be free to be another. */
const SECOND_TEMPERATURE = 0.7

/** Throws as `readPicture`, `chooseModel` and `ask`. */
export async function analyze(ctx: Ctx, body: AnalyzeBody): Promise<AnalyzeView> {
  requirePrompt('prompt', body.prompt)
  const picture = await readPicture(ctx, body, MAX_SHOWN_BYTES)
  return recorded(ctx, { operation: 'analyze', picture }, async () => {
    const chosen = await chooseModel(ctx, 'image_analysis', body.model_name)
    return analyzed(ctx, { ...wishOf(body), picture, chosen, isLast: true })
  })
}

const wishOf = ({ prompt, max_tokens: maxTokens, temperature, confidence: isDoubted }: AnalyzeBody) => ({
  prompt,
  maxTokens,
  temperature,
  isDoubted,
})

export type Analysis = {
  picture: Picture
  chosen: Chosen
  prompt: string
  maxTokens: number
  temperature: number
  /** Asks twice where the model does not tell how sure it is. */
  isDoubted: boolean
  /** Whether nobody looks at the picture, and at the body that it came in, after that. */
  isLast: boolean
}

/** The answer about a picture, with what is noted of it. */
export async function analyzed(ctx: Ctx, wish: Analysis) {
  const startMs = ctx.now()
  const asking = wish.isLast ? lastQuestionOf : questionOf
  const question: Question = { ...asking({ ...wish, taskType: 'image_analysis' }), logprobs: true }
  const reply = await ask(ctx, question)
  const { again, ...sure } = await surenessOf(ctx, { reply, question, isDoubted: wish.isDoubted })
  const tokens = sumOf(tokensOf(reply), again && tokensOf(again))
  const answer: AnalyzeView = {
    object: 'vision.analysis',
    filename: wish.picture.filename ?? null,
    model_used: reply.target.id,
    processing_time_ms: Math.max(0, Math.round(ctx.now() - startMs)),
    result: reply.text,
    ...sure,
    metadata: { ...metadataOf(wish.picture), tokens: tokens ?? null },
    analyzed_at: nowSeconds(ctx),
  }
  return { answer, outcome: { target: reply.target, tokens, confidence: sure.confidence } }
}

type Doubt = { reply: Reply; question: Question; isDoubted: boolean }

/** The mean probability of the answer's tokens, else how far a second answer agrees, else nothing. */
async function surenessOf(
  ctx: Ctx,
  { reply, question, isDoubted }: Doubt,
): Promise<Confidence & { again?: Reply | undefined }> {
  const probability = tokenProbabilityOf(reply.completion)
  if (probability !== undefined || !isDoubted) return sourced(probability, 'logprob')
  const temperature = Math.max(question.temperature ?? 0, SECOND_TEMPERATURE)
  // Of the same model: what another says tells nothing of this one.
  const again = await ask(ctx, { ...question, model: reply.target.id, fallbacks: [], temperature })
  const { agreement } = agreementOf([asAnswer(reply), asAnswer(again)])
  return { ...sourced(agreement, 'agreement'), again }
}

const asAnswer = ({ text, target, completion, ms, costNanoUsd, usage }: Reply) => ({
  provider: target.provider,
  text,
  finishReason: completion.choices[0]?.finish_reason ?? null,
  latencyMs: ms,
  completionTokens: usage?.completion ?? 0,
  costNanoUsd,
  tokenProbability: undefined,
  reliability: 1,
})

const sumOf = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined ? undefined : one + (other ?? 0)
