import { type ChatCompletion, UpstreamError } from '../../core/models.ts'
import { blockReasonOf, failureIn, fieldsOf, finishReasonOf, saidBy, usageIn } from './gemini-candidate.ts'
import { annotationsIn, logprobsIn } from './gemini-extras.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { newCompletionId } from './openai-message.ts'
import type { ErrorSource } from './upstream-http.ts'

type Choice = ChatCompletion['choices'][number]

export type AnswerSource = { upstream: ErrorSource; model: string }

/** What all chunks of a stream, or a whole answer, have in common. */
export const identityOf = (parsed: JsonObject, model: string) => ({
  id: stringOf(parsed.responseId) || newCompletionId(),
  created: Math.floor(Date.now() / 1000),
  model: stringOf(parsed.modelVersion) || model,
})

/**
 * A whole answer in OpenAI's shape; a blocked prompt is an answer of nothing that ends with `content_filter`.
 * Throws `UpstreamError`: `garbage` when it is no answer, `reported` when a candidate failed.
 */
export function geminiCompletion(parsed: unknown, { upstream, model }: AnswerSource): ChatCompletion {
  if (!isObject(parsed)) throw new UpstreamError('garbage', `${upstream.name} sent something that is no answer.`)
  const candidates = objectsOf(parsed.candidates)
  const blockReason = blockReasonOf(parsed)
  if (candidates.length === 0 && blockReason === undefined) {
    throw new UpstreamError('garbage', `${upstream.name} sent an answer without candidates.`)
  }
  for (const candidate of candidates) {
    const failure = failureIn(candidate, upstream)
    if (failure !== undefined) throw failure
  }
  return {
    object: 'chat.completion',
    ...identityOf(parsed, model),
    choices: candidates.length === 0 ? [blockedChoice(blockReason ?? '')] : candidates.map(choiceOf),
    usage: usageIn(parsed) ?? null,
  }
}

const blockedChoice = (blockReason: string): Choice => ({
  index: 0,
  message: { role: 'assistant', content: '' },
  logprobs: null,
  finish_reason: 'content_filter',
  native_finish_reason: blockReason,
})

function choiceOf(candidate: JsonObject, position: number): Choice {
  const said = saidBy(candidate)
  const { text, calls } = said
  const native = stringOf(candidate.finishReason) || 'STOP'
  const annotations = annotationsIn(candidate, text)
  return {
    index: countOf(candidate.index) ?? position,
    message: {
      role: 'assistant',
      content: text === '' && calls.length > 0 ? null : text,
      ...fieldsOf(said),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(annotations.length === 0 ? {} : { annotations }),
    },
    logprobs: logprobsIn(candidate) ?? null,
    finish_reason: finishReasonOf(native, calls.length > 0),
    native_finish_reason: native,
  }
}
