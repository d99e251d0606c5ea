import type { MemberAnswer } from './answers.ts'
import { compare } from './similarity.ts'

/** How far a panel's answers agree, and how sure of each of them one may be. */
export type Agreement = {
  /** By answer: 0 to 1, null for a single one whose vendor tells no probabilities. */
  confidences: readonly (number | null)[]
  /** Mean similarity in pairs, 0 to 1; null for fewer than two. */
  agreement: number | null
  /** Indices of answers that say the same. */
  clusters: readonly (readonly number[])[]
}

/**
 * The confidence of an answer is the mean probability of its tokens where that is told, else its mean similarity with
 * the others; times the reliability of its model.
 */
export function agreementOf(answers: readonly MemberAnswer[]): Agreement {
  const { similarity, clusters } = compare(answers.map(({ text }) => text))
  const own = answers.map((_answer, at) =>
    mean(answers.flatMap((_other, other) => (other === at ? [] : [similarity(at, other)]))),
  )
  const confidences = answers.map(({ tokenProbability, reliability }, at) => {
    const sure = tokenProbability ?? own[at]
    return sure === undefined ? null : sure * reliability
  })
  return { confidences, agreement: mean(own.flatMap((value) => value ?? [])) ?? null, clusters: clusters() }
}

const mean = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
