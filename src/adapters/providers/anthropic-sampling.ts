import type { ChatBody } from '../../core/models.ts'
import type { ClaudeTraits } from './anthropic-models.ts'
import type { JsonObject } from './json-shape.ts'

/** While a model thinks, `top_p` may not be lower. */
const LEAST_THINKING_TOP_P = 0.95

/**
 * `temperature`, `top_p` and `top_k` as far as the model takes them. OpenAI's temperatures go to 2, Anthropic's to 1:
 * higher ones become 1. What is changed or left out is added to `ignored`, unless it is the default anyway.
 */
export function samplingOf(
  body: ChatBody,
  { traits, thinks }: { traits: ClaudeTraits; thinks: boolean },
  ignored: Set<string>,
): JsonObject {
  const sent: JsonObject = {}
  const isFree = traits.sampling !== 'none'
  const { temperature, top_p: topP, top_k: topK } = body
  if (typeof temperature === 'number') {
    if (isFree && !thinks) sent.temperature = Math.min(temperature, 1)
    if (sent.temperature !== temperature && temperature !== 1) ignored.add('temperature')
  }
  if (typeof topP === 'number') {
    const isAlone = traits.sampling === 'both' || sent.temperature === undefined
    if (isFree && isAlone && (!thinks || topP >= LEAST_THINKING_TOP_P)) sent.top_p = topP
    if (sent.top_p === undefined && topP !== 1) ignored.add('top_p')
  }
  if (typeof topK === 'number') {
    if (isFree && !thinks) sent.top_k = topK
    else ignored.add('top_k')
  }
  return sent
}
