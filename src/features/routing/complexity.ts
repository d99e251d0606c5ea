import { nanoFromUsd } from '../../core/money.ts'
import type { Caps, Complexity } from '../../core/routing.ts'
import type { Features } from './features.ts'

/** What a request is given points for. */
export type PointName =
  | 'input_tokens'
  | 'tools'
  | 'json_schema'
  | 'code'
  | 'media'
  | 'messages'
  | 'reasoning_words'
  | 'reasoning_effort'

export type Classified = {
  complexity: Complexity
  points: number
  /** Only what counted. */
  counted: Partial<Record<PointName, number>>
}

const LONG_TOKENS = 500
const VERY_LONG_TOKENS = 2000
const MANY_MESSAGES = 10
const MEDIUM_POINTS = 2
const COMPLEX_POINTS = 4

/** How hard a request looks, told from what is seen of it. */
export function classify(features: Features): Classified {
  const { inputTokens, reasoningWords } = features
  const all: Record<PointName, number> = {
    input_tokens: Number(inputTokens > LONG_TOKENS) + Number(inputTokens > VERY_LONG_TOKENS),
    tools: Number(features.tools),
    json_schema: Number(features.jsonSchema),
    code: Number(features.code),
    media: Number(features.images || features.audio),
    messages: Number(features.messages > MANY_MESSAGES),
    reasoning_words: Math.min(2, reasoningWords),
    reasoning_effort: features.hardThinking ? 2 : 0,
  }
  const points = Object.values(all).reduce((sum, one) => sum + one, 0)
  const complexity = points >= COMPLEX_POINTS ? 'complex' : points >= MEDIUM_POINTS ? 'medium' : 'simple'
  return { complexity, points, counted: Object.fromEntries(Object.entries(all).filter(([, one]) => one > 0)) }
}

/** What a request of a class may cost and take, and how good its answer must be, where `smart` chooses. */
export const classCaps: Readonly<Record<Complexity, Caps>> = {
  simple: { maxCostNanoUsd: nanoFromUsd(0.005), maxLatencyMs: 2000, minQuality: 7 },
  medium: { maxCostNanoUsd: nanoFromUsd(0.01), maxLatencyMs: 3000, minQuality: 8 },
  complex: { maxLatencyMs: 5000, minQuality: 9 },
}
