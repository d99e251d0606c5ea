import type { MemberAnswer } from '../../../src/features/ensembles/answers.ts'

/** An answer of a member of whom nothing is known yet. */
export const answered = (text: string, given: Partial<MemberAnswer> = {}): MemberAnswer => ({
  provider: 'openai',
  text,
  finishReason: 'stop',
  latencyMs: 4000,
  completionTokens: 0,
  costNanoUsd: 100,
  tokenProbability: undefined,
  reliability: 0.5,
  ...given,
})

export const settings = {
  strategy: 'majority' as const,
  threshold: 0.75,
  preferred: [],
  weights: {},
  least: 2,
}
