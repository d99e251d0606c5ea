import type { MemberAnswer } from './answers.ts'
import { bestOf } from './majority.ts'

/** Judged scores that are closer than this say nothing about which answer is better. */
export const TOO_CLOSE = 0.05

/** The answer that was judged best, or the cheapest of those that were judged about as good. */
export function bestJudged(
  answers: readonly Pick<MemberAnswer, 'costNanoUsd'>[],
  scores: readonly number[],
): number | undefined {
  const highest = Math.max(...scores)
  const close = answers.flatMap((_answer, at) => (highest - (scores[at] ?? 0) < TOO_CLOSE ? [at] : []))
  const cheapest = Math.min(...close.map((at) => answers[at]?.costNanoUsd ?? 0))
  return bestOf(
    close.filter((at) => answers[at]?.costNanoUsd === cheapest),
    scores,
  )
}
