import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { DecidedExperiment } from '../../core/decision.ts'
import type { Caps, Strategy } from '../../core/routing.ts'
import { isAuto, strategyOfAuto } from './auto.ts'
import { type Candidate, namedCandidates, openCandidates } from './candidates.ts'
import { classCaps } from './complexity.ts'
import { assign, unitOf } from './experiment.ts'
import type { PlanCaps, PlanStrategy } from './plan.ts'
import type { Shape } from './shape.ts'
import { type Candidates, MAX_TARGETS, targetsFor, type Wanted } from './target.ts'

/** A call whose model is left to us is tried at so many targets. */
export const MOST_TRIED = 3

type World = Pick<Deps, 'providers' | 'memory' | 'now'>
export type Chooser = Pick<Policy, 'allowedModels' | 'mode' | 'routing' | 'marks' | 'userId' | 'keyId'>

/** What may answer a call, and by what it is chosen. */
export type Choice = { forbidden: boolean } & (Plain | Weighed)

/** The order is the caller's: nothing has to be known of the targets but how they stand. */
export type Plain = { kind: 'plain' } & Pick<Candidates, 'targets' | 'asked'>

/** The order comes of figures, caps, lots or turns. */
export type Weighed = {
  kind: 'weighed'
  candidates: readonly Candidate[]
  /** Of these nothing is known but that they cannot be chosen. */
  unconfigured?: readonly string[]
  strategy: PlanStrategy
  most: number
  hard: Caps | undefined
  /** By the class of the request, which is not known yet. */
  softFor: (shape: Pick<Shape, 'complexity'>) => Caps | undefined
  epsilon?: number | undefined
  /** In place of the rows'. */
  timeoutMs?: number | undefined
  experiment?: DecidedExperiment | undefined
}

/**
 * What may answer a call and by what it is chosen: from this isolate's memory alone. There are several where an
 * experiment assigns by request and the request has no id yet.
 */
export function choicesFor(world: World, policy: Chooser, { wanted, requestId }: Choosing): Choice[] {
  const own = wanted.routing?.strategy ?? strategyOfAuto(wanted.model)
  if (!isAuto(wanted.model)) return [ofName(world, policy, wanted)]
  const { routing } = policy
  const strategy = own ?? routing?.strategy
  const experiment = own ? undefined : routing?.experiment
  if (experiment) {
    const unit = unitOf(experiment, policy, requestId)
    const assigned = unit === undefined ? undefined : assign(experiment, unit)
    const variants = assigned ? [assigned.variant] : experiment.variants
    return variants.map((variant) => {
      const noted = assigned && { id: experiment.id, variant: variant.name, propensity: assigned.propensity }
      const about = { strategy: variant.strategy ?? strategy ?? 'priority', experiment: noted }
      if (variant.model === undefined || isAuto(variant.model)) return ofAuto(world, policy, { wanted, ...about })
      return { ...weighedName(world, policy, { ...wanted, model: variant.model }), experiment: noted }
    })
  }
  if (strategy === undefined && !wanted.routing?.caps) return [plainly(world, policy, wanted)]
  return [ofAuto(world, policy, { wanted, strategy: strategy ?? 'priority' })]
}

export type Choosing = { wanted: Wanted; requestId?: string | undefined }

function plainly(world: World, policy: Chooser, wanted: Wanted): Choice {
  return { kind: 'plain', ...targetsFor(world, policy, wanted) }
}

/** A name is honoured as it was asked for, unless something is said of its routing. */
function ofName(world: World, policy: Chooser, wanted: Wanted): Choice {
  const { routing: wish } = wanted
  const isManaged =
    wish?.strategy !== undefined ||
    wish?.caps !== undefined ||
    wish?.timeoutMs !== undefined ||
    // A mark may be of a name: of every target it has to be known what it was called.
    (policy.marks?.length ?? 0) > 0
  if (isManaged || mayBeExtended(policy, wanted)) {
    const weighed = weighedName(world, policy, wanted)
    if (isManaged || weighed.isExtended) return weighed
  }
  return plainly(world, policy, wanted)
}

const mayBeExtended = ({ routing }: Chooser, { fallbacks }: Wanted): boolean =>
  fallbacks === undefined && routing !== undefined && Object.keys(routing.fallbacks).length > 0

function weighedName(
  world: World,
  policy: Chooser,
  wanted: Wanted,
): Weighed & { forbidden: boolean; isExtended: boolean } {
  const { routing: wish } = wanted
  return {
    kind: 'weighed',
    ...namedCandidates(world, policy, wanted),
    strategy: wish?.strategy ?? 'explicit',
    most: MAX_TARGETS,
    hard: wish?.caps,
    softFor: () => undefined,
    epsilon: policy.routing?.bandit?.epsilon,
    timeoutMs: wish?.timeoutMs,
  }
}

type Auto = { wanted: Wanted; strategy: Strategy; experiment?: DecidedExperiment | undefined }

function ofAuto(world: World, policy: Chooser, { wanted, strategy, experiment }: Auto): Choice {
  const { routing } = policy
  return {
    kind: 'weighed',
    ...openCandidates(world, policy, { wanted, strategy }),
    strategy,
    most: MOST_TRIED,
    hard: wanted.routing?.caps,
    // What a policy says of a class binds whatever the strategy; the built-in caps are those of `smart`.
    softFor: ({ complexity }) =>
      routing?.caps?.[complexity] ?? (strategy === 'smart' ? classCaps[complexity] : undefined),
    epsilon: routing?.bandit?.epsilon,
    timeoutMs: wanted.routing?.timeoutMs,
    experiment,
  }
}

/** Absent caps stay absent: one of 0 is another thing. */
export function planCaps(caps: Caps | undefined): PlanCaps | undefined {
  if (!caps) return undefined
  const { maxCostNanoUsd, maxLatencyMs, minQuality } = caps
  const said: PlanCaps = {
    ...(maxCostNanoUsd !== undefined && { max_cost_nanos: maxCostNanoUsd }),
    ...(maxLatencyMs !== undefined && { max_latency_ms: maxLatencyMs }),
    ...(minQuality !== undefined && { min_quality: minQuality }),
  }
  return Object.keys(said).length > 0 ? said : undefined
}
