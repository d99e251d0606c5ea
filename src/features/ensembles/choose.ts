import type { EnsembleStrategy } from '../../core/ensemble.ts'
import type { MemberAnswer } from './answers.ts'
import { bestJudged } from './best-of-n.ts'
import { sureEnough } from './cascade.ts'
import { type Agreement, agreementOf } from './confidence.ts'
import { confidenceWeighted } from './confidence-weighted.ts'
import { bestOf, majorityOf } from './majority.ts'
import { qualityWeighted } from './quality-weighted.ts'
import type { EnsembleSettings } from './settings.ts'

/** Why the choice was made in another way than the one that was asked for. */
export type Fallback = 'no_majority' | 'not_sure' | 'not_judged' | 'too_few_answers'

/** Which answer it is, and how that came about. Everything by answer is in their order. */
export type Choice = {
  /** Index of the answer. */
  winner: number
  /** How it was chosen in the end. */
  votingMethod: EnsembleStrategy
  /** What the choice went by, 0 to 1. */
  scores: readonly number[]
  /** Indices of the answers that say what the chosen one says, itself among them. */
  agreeing: readonly number[]
  fallback: Fallback | undefined
} & Agreement

type Given = {
  answers: readonly MemberAnswer[]
  settings: Pick<EnsembleSettings, 'strategy' | 'threshold' | 'preferred' | 'weights' | 'least'>
  /** How many were asked. */
  members: number
  /** What a judge gave, by answer, where one was asked and understood. */
  judged?: readonly number[] | undefined
}

/** The answer of an ensemble; undefined when nobody has answered. Pure: the same answers, the same choice. */
export function choose(given: Given): Choice | undefined {
  const { answers, settings } = given
  if (answers.length === 0) return undefined
  const agreed = agreementOf(answers)
  const byConfidence = confidenceWeighted(answers, agreed.confidences, settings)
  const all = answers.map((_answer, at) => at)
  const made = (of: Omit<Made, 'fallback'> & Pick<Partial<Made>, 'fallback'>): Choice => {
    const agreeing = agreed.clusters.find((cluster) => cluster.includes(of.winner)) ?? [of.winner]
    return { ...agreed, agreeing, fallback: undefined, ...of }
  }
  const surest = (fallback?: Fallback): Choice =>
    made({
      winner: bestOf(all, byConfidence) ?? 0,
      votingMethod: 'confidence_weighted',
      scores: byConfidence,
      fallback,
    })
  if (answers.length < settings.least) return surest('too_few_answers')
  switch (settings.strategy) {
    case 'confidence_weighted':
      return surest()
    case 'quality_weighted': {
      const scores = qualityWeighted(answers, agreed.confidences)
      return made({ winner: bestOf(all, scores) ?? 0, votingMethod: 'quality_weighted', scores })
    }
    case 'majority':
    case 'round': {
      const voters = majorityOf({ members: given.members, clusters: agreed.clusters })
      if (!voters) return surest('no_majority')
      const winner = surestOf(voters, agreed.confidences)
      return made({ winner, votingMethod: settings.strategy, scores: sharesOf(agreed, given.members) })
    }
    case 'cascade': {
      const winner = sureEnough(agreed.confidences, settings.threshold)
      if (winner === undefined) return surest('not_sure')
      const scores = agreed.confidences.map((confidence) => confidence ?? 0)
      return made({ winner, votingMethod: 'cascade', scores })
    }
    case 'best_of_n':
    case 'merge': {
      const winner = given.judged && bestJudged(answers, given.judged)
      if (winner === undefined) return surest('not_judged')
      return made({ winner, votingMethod: 'best_of_n', scores: given.judged ?? [] })
    }
  }
}

type Made = Pick<Choice, 'winner' | 'votingMethod' | 'scores' | 'fallback'>

/** Of those who say the same the most confident; the first of equals. */
const surestOf = (voters: readonly number[], confidences: Agreement['confidences']): number =>
  bestOf(
    voters,
    confidences.map((confidence) => confidence ?? 0),
  ) ?? 0

/** By answer: the share of the members who say that. */
function sharesOf({ clusters }: Agreement, members: number): number[] {
  const shares: number[] = []
  for (const cluster of clusters) for (const at of cluster) shares[at] = cluster.length / members
  return shares
}
