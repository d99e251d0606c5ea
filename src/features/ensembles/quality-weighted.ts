import type { MemberAnswer } from './answers.ts'
import { charsPerToken } from './confidence-weighted.ts'

const SLOWEST_MS = 10_000
const DENSEST = 4

/** `0.30 confidence + 0.20 speed + 0.20 density + 0.15 length + 0.15 finish`, each part 0 to 1. */
export const qualityWeighted = (answers: readonly MemberAnswer[], confidences: readonly (number | null)[]): number[] =>
  answers.map(
    (answer, at) =>
      0.3 * (confidences[at] ?? 0) +
      0.2 * Math.max(0, 1 - answer.latencyMs / SLOWEST_MS) +
      0.2 * Math.min(1, charsPerToken(answer) / DENSEST) +
      0.15 * lengthFit(answer.text.length) +
      0.15 * finishFit(answer.finishReason),
  )

function lengthFit(chars: number): number {
  if (chars < 50) return 0.5
  if (chars < 1000) return 1
  return chars < 2000 ? 0.75 : 0.5
}

function finishFit(reason: string | null): number {
  if (reason === 'stop') return 1
  return reason === 'content_filter' ? 0 : 0.5
}
