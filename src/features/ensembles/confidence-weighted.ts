import type { MemberAnswer } from './answers.ts'

export type Preferences = {
  /** Names of providers, the most preferred first. */
  preferred: readonly string[]
  weights: Readonly<Record<string, number>>
}

/** What an answer is worth beside its confidence: these factors decide between members who are equally sure. */
export function factorOf(answer: MemberAnswer, preferences: Preferences): number {
  return (
    lengthFactor(answer.text.length) *
    latencyFactor(answer.latencyMs) *
    densityFactor(charsPerToken(answer)) *
    finishFactor(answer.finishReason) *
    preferenceFactor(answer.provider, preferences)
  )
}

/** Confidence times factor, as shares of the largest: 0 to 1. Where nobody is sure of anything reliability takes its place. */
export function confidenceWeighted(
  answers: readonly MemberAnswer[],
  confidences: readonly (number | null)[],
  preferences: Preferences,
): number[] {
  const factors = answers.map((answer) => factorOf(answer, preferences))
  const products = factors.map((factor, at) => factor * (confidences[at] ?? answers[at]?.reliability ?? 0))
  const sure = products.some((product) => product > 0)
  const told = sure ? products : factors.map((factor, at) => factor * (answers[at]?.reliability ?? 0))
  const largest = Math.max(...told)
  return told.map((product) => (largest > 0 ? product / largest : 0))
}

/** Characters a token; without a count none. */
export const charsPerToken = ({ text, completionTokens }: Pick<MemberAnswer, 'text' | 'completionTokens'>): number =>
  completionTokens > 0 ? text.length / completionTokens : 0

function lengthFactor(chars: number): number {
  if (chars >= 2000) return 0.95
  if (chars >= 1000) return 1.05
  return chars >= 50 ? 1.1 : 1
}

function latencyFactor(ms: number): number {
  if (ms < 1000) return 1.1
  if (ms < 3000) return 1.05
  return ms > 10_000 ? 0.9 : 1
}

function densityFactor(perToken: number): number {
  if (perToken > 3) return 1.1
  return perToken > 2 ? 1.05 : 1
}

function finishFactor(reason: string | null): number {
  if (reason === 'stop') return 1.1
  if (reason === 'length') return 0.95
  return reason === 'content_filter' ? 0.7 : 1
}

/** `1 + 0.1 · (n − i)` for the i-th of n preferred providers, times a weight of its own. */
function preferenceFactor(provider: string, { preferred, weights }: Preferences): number {
  const at = preferred.indexOf(provider)
  const rank = at === -1 ? 1 : 1 + 0.1 * (preferred.length - at)
  return rank * (Object.hasOwn(weights, provider) ? (weights[provider] ?? 1) : 1)
}
