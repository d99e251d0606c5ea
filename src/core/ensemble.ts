/** How several models answer one call together. */

export const ensembleStrategies = [
  'confidence_weighted',
  'majority',
  'quality_weighted',
  'best_of_n',
  'merge',
  'cascade',
  'round',
] as const
export type EnsembleStrategy = (typeof ensembleStrategies)[number]

/** What a call may say of its ensemble, and an organisation for calls that say nothing: fields as on the wire. */
export type EnsembleConfig = {
  /** `best_response` is another word for `best_of_n`. */
  strategy?: EnsembleStrategy | 'best_response' | undefined
  /** One after another, as far as the strategy can stop early. */
  mode?: 'parallel' | 'sequential' | undefined
  /** Names of models; without them members are chosen. */
  members?: readonly string[] | undefined
  min_providers?: number | undefined
  max_providers?: number | undefined
  /** 0 to 1. */
  confidence_threshold?: number | undefined
  fallback_to_best?: boolean | undefined
  timeout_ms?: number | undefined
  /** The most preferred first. */
  preferred_providers?: readonly string[] | undefined
  /** Factors by provider; 1 where none is said. */
  provider_weights?: Readonly<Record<string, number>> | undefined
  judge_model?: string | undefined
  stream_first?: boolean | undefined
}

/** What a decision keeps of an ensemble, as `decisions.ensemble`. */
export type DecidedEnsemble = {
  strategy: EnsembleStrategy
  /** How the answer was chosen in the end; null where none was. */
  voting_method: string | null
  /** Mean similarity of the answers in pairs, 0 to 1; null for fewer than two. */
  agreement: number | null
  members: readonly DecidedMember[]
  /** Calls that weighed or merged the answers. */
  helpers: readonly DecidedHelper[]
}

export type DecidedMember = {
  target: string
  request_id: string
  /** `ok`, or one word for what went wrong. */
  outcome: string
  /** 0 to 1. */
  confidence: number | null
  /** 0 to 1. */
  score: number | null
  /** 0 to 10, where it was judged. */
  quality: number | null
  cost_nanos: number
  latency_ms: number
  won: boolean
  /** The request id of every call that was booked for it, in order. Rows of an earlier release lack it. */
  calls?: readonly string[]
}

export type DecidedHelper = Pick<DecidedMember, 'target' | 'request_id' | 'outcome' | 'cost_nanos' | 'latency_ms'> & {
  role: 'judge' | 'merge'
}
