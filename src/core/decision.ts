import type { Policy } from './admission.ts'
import type { DecidedEnsemble } from './ensemble.ts'

/**
 * Why a call went where it went, as a row of `decisions`. It rides in the settlement of its call, and is written with
 * the ledger's row: ids and figures only, nothing of what was said.
 */
export type DecisionRow = {
  id: string
  org_id: string
  request_id: string
  key_id: string
  user_id: string | null
  /** The name that the caller asked for. */
  asked_model: string
  strategy: string
  /** Of the plan, in its order. */
  candidates: readonly DecidedCandidate[]
  excluded: readonly { target: string; reason: string }[]
  /** Of the dispatch, in order. */
  attempts: readonly DecidedAttempt[]
  /** The target that answered; null when none did. */
  chosen: string | null
  outcome: DecisionOutcome
  cache: 'off' | 'miss' | 'exact'
  is_stream: boolean
  policy_version: string
  prices_version: string
  /** Unix seconds. */
  created_at: number
  /** How likely the first of the plan was to be the first, 0 to 1; null where nothing was planned. Rows of an earlier release lack it and what follows. */
  propensity?: number | null
  /** Caps that nothing could keep, in the order in which they were relaxed. */
  relaxed?: readonly string[] | null
  /** The routing policy that was in force. */
  routing_policy_id?: string | null
  routing_policy_version?: number | null
  task_type?: string | null
  complexity?: string | null
  experiment?: DecidedExperiment | null
  /** Everything that the order came of, so that it can be worked out again. */
  inputs?: Readonly<Record<string, unknown>> | null
  /** Of an ensemble: its members and how one of them was chosen. */
  ensemble?: DecidedEnsemble | null
  /** Of an answer that was kept: what it had cost when it was made. */
  saved_nanos?: number | null
}

/**
 * `score` and its parts are there where the strategy works them out. Cost is nano-USD, latency milliseconds. `relaxed`
 * are caps of the class that the default model does not keep, and is let break.
 */
export type DecidedCandidate = {
  target: string
  reason: string
  score?: number
  relaxed?: readonly string[]
  quality?: number
  cost_nanos?: number
  latency_ms?: number
}

/** The variant that the call fell to, and how likely that was. */
export type DecidedExperiment = { id: string; variant: string; propensity: number }

/** `refused`: the call ended before any target was asked, or by what none of them would have been sent. */
export type DecisionOutcome = 'ok' | 'error' | 'aborted' | 'budget' | 'refused'

/** `outcome` is `ok` or one word for what went wrong; a stream that began and broke off later was `ok`. */
export type DecidedAttempt = { target: string; outcome: string; duration_ms: number }

/** What a call notes of its decision on its way; the row is made of it once the caller has been answered. */
export type Decision = {
  id: string
  askedModel: string
  isStream: boolean
  pricesVersion: string
  /** Undefined until there is one: the call was refused before. */
  plan?: {
    strategy: string
    targets: readonly PlannedForDecision[]
    excluded: readonly { id: string; reason: string }[]
    propensity?: number | undefined
    relaxed?: readonly string[] | undefined
    experiment?: DecidedExperiment | undefined
    inputs?: (Readonly<Record<string, unknown>> & { complexity?: string }) | undefined
  }
  /** What the call is for. */
  taskType?: string
  attempts: DecidedAttempt[]
  /** Whether a kept answer was looked for; absent where none was wanted. */
  cache?: 'miss' | 'exact'
  /** What had made the answer that was kept, and what it had cost. */
  kept?: { target: string; costNanoUsd: number }
  /** Targets that failed by their own fault, by what their figures go by. */
  failed: string[]
  /** Of several models that answered together, and the target whose answer was given: null where none was. */
  ensemble?: { told: DecidedEnsemble; chosen: string | null }
}

type PlannedForDecision = {
  target: { id: string }
  reason: string
  score?: number | undefined
  relaxed?: readonly string[] | undefined
  quality?: number | undefined
  costNanoUsd?: number | undefined
  latencyMs?: number | undefined
}

type Ended = {
  requestId: string
  policy: Pick<Policy, 'orgId' | 'keyId' | 'userId' | 'version' | 'routing'>
  outcome: DecisionOutcome
  /** Unix seconds. */
  nowSeconds: number
}

export function decisionRow(decision: Decision, { requestId, policy, outcome, nowSeconds }: Ended): DecisionRow {
  const { plan, attempts, kept, ensemble, cache = 'off' } = decision
  const answered = attempts.findLast((attempt) => attempt.outcome === 'ok')?.target ?? null
  return {
    id: decision.id,
    org_id: policy.orgId,
    request_id: requestId,
    key_id: policy.keyId,
    user_id: policy.userId ?? null,
    asked_model: decision.askedModel,
    strategy: plan?.strategy ?? 'none',
    candidates: (plan?.targets ?? []).map(candidateOf),
    excluded: (plan?.excluded ?? []).map(({ id, reason }) => ({ target: id, reason })),
    attempts,
    chosen: ensemble ? ensemble.chosen : (kept?.target ?? answered),
    outcome,
    cache,
    is_stream: decision.isStream,
    policy_version: policy.version,
    prices_version: decision.pricesVersion,
    created_at: nowSeconds,
    propensity: plan?.propensity ?? null,
    relaxed: plan?.relaxed ?? null,
    routing_policy_id: policy.routing?.id ?? null,
    routing_policy_version: policy.routing?.version ?? null,
    task_type: decision.taskType ?? null,
    complexity: plan?.inputs?.complexity ?? null,
    experiment: plan?.experiment ?? null,
    inputs: plan?.inputs ?? null,
    ...(kept && { saved_nanos: kept.costNanoUsd }),
    ...(ensemble && { ensemble: ensemble.told }),
  }
}

function candidateOf(planned: PlannedForDecision): DecidedCandidate {
  const { target, reason, score, relaxed, quality, costNanoUsd, latencyMs } = planned
  return {
    target: target.id,
    reason,
    ...(score !== undefined && { score }),
    ...(relaxed !== undefined && { relaxed }),
    ...(quality !== undefined && { quality }),
    ...(costNanoUsd !== undefined && { cost_nanos: costNanoUsd }),
    ...(latencyMs !== undefined && { latency_ms: latencyMs }),
  }
}
