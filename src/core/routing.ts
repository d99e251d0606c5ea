/** How an organisation wants its calls to be routed, as a policy carries it, and what is known of targets. */

export const strategies = [
  'priority',
  'cost',
  'latency',
  'quality',
  'smart',
  'round_robin',
  'weighted',
  'random',
  'least_busy',
  'health_based',
  'bandit',
] as const
export type Strategy = (typeof strategies)[number]

export const complexities = ['simple', 'medium', 'complex'] as const
export type Complexity = (typeof complexities)[number]

export const priorities = ['low', 'normal', 'high', 'critical'] as const
/** Who goes first where calls have to wait, and who is refused last where there are too many. */
export type Priority = (typeof priorities)[number]

/** What one request may be made to cost or take, and how good its answer must be; absent means no cap, 0 means none. */
export type Caps = {
  maxCostNanoUsd?: number | undefined
  maxLatencyMs?: number | undefined
  /** 0 to 10. */
  minQuality?: number | undefined
}

/** A target that a routing policy names; without a model every model of the provider that the call could have. */
export type PolicyTarget = {
  provider: string
  model?: string | undefined
  /** 1 to 100; smaller is tried first. */
  priority?: number | undefined
  /** Above 0; 1 unless said. */
  weight?: number | undefined
  /** Of the blended price of a token. */
  maxCostPerTokenNanoUsd?: number | undefined
  maxCostPerRequestNanoUsd?: number | undefined
  timeoutMs?: number | undefined
}

/** One side of an experiment: what it changes of a call that falls to it. */
export type Variant = {
  name: string
  /** Above 0. */
  weight: number
  model?: string | undefined
  strategy?: Strategy | undefined
}

/** Assignment is sticky for a unit; the same unit may be in another variant of another experiment. */
export type Experiment = { id: string; unit: 'user' | 'key' | 'request'; variants: readonly Variant[] }

export type CacheRule = { mode: 'off' | 'exact'; ttlSeconds?: number | undefined; scope?: CacheScope | undefined }
export type CacheScope = 'key' | 'user' | 'org'

/** A routing policy that is attached to a caller, at the version that is in force. */
export type RoutingPolicy = {
  /** `rpl_…`. */
  id: string
  version: number
  strategy: Strategy
  /** Of calls whose model is left to us (`auto`); empty leaves the choice among everything that is configured. */
  targets: readonly PolicyTarget[]
  /** Names to try after a model of that name, in order. `*` is of every other model. */
  fallbacks: Readonly<Record<string, readonly string[]>>
  /** In place of the built-in ones; a class that is not named keeps its own. */
  caps?: Partial<Record<Complexity, Caps>> | undefined
  /** What answers when no target fits even with every cap relaxed. */
  defaultModel?: string | undefined
  cache?: CacheRule | undefined
  bandit?: { epsilon: number } | undefined
  experiment?: Experiment | undefined
}

/** A model that somebody has taken out of use for an organisation. `untilMs` (Unix ms) undefined: until it is put back. */
export type ModelMark = { model: string; reason: string; untilMs?: number | undefined }

/**
 * What an organisation's own judges thought of a target's answers in the last thirty days, by `provider/model`: the mean,
 * 0 to 10, and of how many.
 */
export type JudgedTargets = Readonly<Record<string, readonly [mean: number, count: number]>>

/** What has been measured of a target. Counts fade: `calls` is how much is behind the figures now. */
export type Figures = {
  calls: number
  /** Median and 95th percentile of answered calls, from their arrival to their end. */
  latencyMs: number | undefined
  latencyP95Ms: number | undefined
  /** Median until the first content of a stream. */
  ttftMs: number | undefined
  tokensPerSecond: number | undefined
  /** Share of failed calls in the last minutes: fades by half in five. */
  errorRate: number
  /** Third quartile of the output tokens of a call of the kind that was asked about. */
  outputTokens: number | undefined
  /** Calls under way, of all isolates as far as they have told; undefined where it was not asked. */
  inFlight?: number | undefined
}

/** What stands in the way of a target now. Times are Unix ms. */
export type TargetState =
  /** It failed too often: until then nobody tries it. */
  | { kind: 'open'; untilMs: number }
  /**
   * It was open, and a few calls try whether it is well again: this call may, and has that place of them until then. The
   * id is what its breaker goes by.
   */
  | { kind: 'probe'; id: string; slot: number; untilMs: number }
  /** It said that it has no capacity before then. */
  | { kind: 'cooling'; untilMs: number }
