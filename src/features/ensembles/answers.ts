import type { ChatCompletion } from '../../core/models.ts'

/** What a member has answered, as far as the choice between members goes by it. */
export type MemberAnswer = {
  provider: string
  text: string
  finishReason: string | null
  latencyMs: number
  completionTokens: number
  costNanoUsd: number
  /** Mean probability of its tokens, 0 to 1; undefined where its vendor tells none. */
  tokenProbability: number | undefined
  /** How often its model was right before, 0 to 1. */
  reliability: number
}

/** The text of an answer's first choice; empty for one that says nothing. */
export function textOf({ choices }: Pick<ChatCompletion, 'choices'>): string {
  const content = choices[0]?.message.content
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: { text?: unknown } | null) => (typeof part?.text === 'string' ? part.text : '')).join('')
}

/** The mean probability of an answer's tokens by its `logprobs`; undefined where it has none. */
export function tokenProbabilityOf({ choices }: Pick<ChatCompletion, 'choices'>): number | undefined {
  const told = choices[0]?.logprobs
  const tokens = typeof told === 'object' && told !== null && 'content' in told ? told.content : undefined
  if (!Array.isArray(tokens)) return undefined
  const chances = tokens.flatMap((token: { logprob?: unknown } | null) =>
    typeof token?.logprob === 'number' ? [Math.min(1, Math.exp(token.logprob))] : [],
  )
  return chances.length === 0 ? undefined : chances.reduce((sum, chance) => sum + chance, 0) / chances.length
}

/** Of past answers that were weighed; Beta(1, 1) before the first, so that nothing is certain after one. */
export const reliabilityOf = ({ wins, answers }: { wins: number; answers: number }): number =>
  (1 + Math.min(wins, answers)) / (2 + answers)
