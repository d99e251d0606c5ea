import type { Figures, JudgedTargets } from '../../core/routing.ts'
import { costNanoUsd, modelOf, type Prior } from '../catalog/service.ts'
import type { Candidate } from './candidates.ts'
import type { NodeStanding } from './node-choice.ts'
import type { Option, PlanStrategy } from './plan.ts'
import type { Shape } from './shape.ts'
import type { Need, Target } from './target.ts'

/** Expected of a model of which nobody knows anything. */
const UNKNOWN_QUALITY = 7
const UNKNOWN_LATENCY_MS = 2000
/** Until a target has been called so often, what is expected of it counts for more than what was measured. */
const CALLS_TO_TRUST = 50
/** So many judged answers weigh as much as what was expected before any. */
const PRIOR_WEIGHT = 20
/** Output of a call that has no limit, at a target that nobody has measured. */
const EXPECTED_OUTPUT_TOKENS = 500
/** Calls at once that a target takes where nobody said. */
const NODE_CAPACITY = 4
const VENDOR_CAPACITY = 32
/** Of a target that is being tried again. */
const PROBE_HEALTH = 0.5

/** What a strategy, and the caps that bind it, look at. */
export type Wants = { cost: boolean; latency: boolean; quality: boolean; load: boolean; health: boolean }

export function wantsOf(strategy: PlanStrategy, capped: Pick<Wants, 'cost' | 'latency' | 'quality'>): Wants {
  const isHealth = strategy === 'health_based'
  const isSmart = strategy === 'smart'
  return {
    cost: isSmart || strategy === 'cost' || capped.cost,
    latency: isSmart || isHealth || strategy === 'latency' || capped.latency,
    quality: isSmart || strategy === 'quality' || strategy === 'bandit' || capped.quality,
    load: isHealth || strategy === 'least_busy',
    health: isHealth,
  }
}

export type Known = {
  shape: Shape
  figures: Figures | undefined
  /** What judges of the caller's organisation thought of its answers. */
  judged: JudgedTargets[string] | undefined
  wants: Wants
  /** What its watch says, where it is on a node. */
  node?: NodeStanding | undefined
  /** It was out, and this call may try it. */
  isProbe: boolean
  /** Why it cannot be tried, where that is known already. */
  out: string | undefined
}

/** A candidate as a plan wants to know it. */
export function optionOf(candidate: Candidate, known: Known): Option {
  const { target, tier, fallbackTier, isSpare, isTrusted, row, isBuiltIn } = candidate
  const { shape, figures, judged, wants, isProbe, node } = known
  const place = {
    id: target.id,
    ...(tier > 0 && { tier }),
    ...(fallbackTier !== undefined && { fallback_tier: fallbackTier }),
    ...(isSpare && { spare: true as const }),
  }
  const out = known.out ?? (isTrusted ? undefined : unfitness(candidate, shape))
  if (out !== undefined) return { ...place, out }
  const limits = limitsOf(row)
  const cost = wants.cost || limits ? expectedCost(target, { shape, figures }) : undefined
  const isOver = limits && !isWithin(cost, limits)
  if (isOver && !isBuiltIn) return { ...place, out: 'over_policy_cost' }
  const { priority, weight } = row
  return {
    ...place,
    ...(priority !== undefined && { priority }),
    ...(weight !== undefined && { weight }),
    ...(cost && { cost_nanos: cost.nanoUsd }),
    ...(isOver && { dear: true as const }),
    ...(wants.latency && { latency_ms: expectedLatencyMs(target, { shape, figures }) }),
    ...(wants.quality && { quality: expectedQuality(target, judged) }),
    ...(wants.load && { load: rounded(node?.load ?? (figures?.inFlight ?? 0) / capacityOf(target)) }),
    ...(wants.health && {
      health: isProbe ? PROBE_HEALTH : (node?.health ?? 1),
      ...(node?.isLoaded && { loaded: true as const }),
      error_rate: rounded(figures?.errorRate ?? 0),
    }),
  }
}

/** Figures are kept with the decision: no more digits than matter. */
const rounded = (figure: number): number => Math.round(figure * 1000) / 1000

/** What a target lacks for a request; undefined for one that nothing is known to be missing from. */
export function unfitness({ target, listed }: Pick<Candidate, 'target' | 'listed'>, shape: Shape): string | undefined {
  const { entry } = target
  const able = entry?.capabilities ?? listed?.capabilities
  const missing = able && shape.needs.find((need) => !isAble(able, need, entry === undefined))
  if (missing) return `lacks_${missing}`
  const { inputTokens, maxOutputTokens = EXPECTED_OUTPUT_TOKENS } = shape
  const output = Math.min(maxOutputTokens, entry?.maxOutputTokens ?? Number.POSITIVE_INFINITY)
  const window = entry?.contextWindow ?? listed?.contextWindow ?? Number.POSITIVE_INFINITY
  return inputTokens + output > window ? 'window_too_small' : undefined
}

/** A node makes every model that it has write by a schema, whatever it lists. */
const isAble = (able: readonly string[], need: Need, isListed: boolean): boolean =>
  able.includes(need) || (isListed && need === 'json_schema')

/** What is expected of a model before it was measured; a node's is the catalog's of that family. */
const priorOf = ({ entry, provider, model }: Target): Prior | undefined =>
  entry ? entry.prior : provider.kind === 'node' ? modelOf('ollama', model.replace(/:.*$/, ''))?.prior : undefined

type Measured = { shape: Shape; figures: Figures | undefined }
type Cost = { nanoUsd: number; tokens: number }

/** Undefined where nobody told a price. */
export function expectedCost({ price }: Target, { shape, figures }: Measured): Cost | undefined {
  if (!price) return undefined
  const usual = figures?.outputTokens ?? EXPECTED_OUTPUT_TOKENS
  const completion = Math.round(Math.min(shape.maxOutputTokens ?? usual, usual)) * shape.choices
  const usage = { prompt: shape.inputTokens, cached: 0, cacheWrite: 0, completion, reasoning: 0 }
  return { nanoUsd: costNanoUsd(price, usage), tokens: shape.inputTokens + completion }
}

type Limits = { perRequest: number; perToken: number }

function limitsOf(row: Candidate['row']): Limits | undefined {
  const { maxCostPerRequestNanoUsd: perRequest, maxCostPerTokenNanoUsd: perToken } = row
  if (perRequest === undefined && perToken === undefined) return undefined
  return { perRequest: perRequest ?? Number.POSITIVE_INFINITY, perToken: perToken ?? Number.POSITIVE_INFINITY }
}

/** A token costs what the request does, spread over all that it reads and writes. */
const isWithin = (cost: Cost | undefined, { perRequest, perToken }: Limits): boolean =>
  cost !== undefined && cost.nanoUsd <= perRequest && cost.nanoUsd <= perToken * cost.tokens

function expectedLatencyMs(target: Target, { shape, figures }: Measured): number {
  const measured = shape.stream ? figures?.ttftMs : figures?.latencyMs
  const isTrusted = measured !== undefined && (figures?.calls ?? 0) >= CALLS_TO_TRUST
  if (isTrusted) return Math.round(measured)
  const prior = priorOf(target)
  return prior ? Math.round(prior.latencySeconds * 1000) : UNKNOWN_LATENCY_MS
}

function expectedQuality(target: Target, [mean, count]: JudgedTargets[string] = [0, 0]): number {
  const prior = priorOf(target)?.quality ?? UNKNOWN_QUALITY
  return rounded((count * mean + PRIOR_WEIGHT * prior) / (count + PRIOR_WEIGHT))
}

const capacityOf = ({ provider: { kind, maxConcurrency } }: Target): number =>
  maxConcurrency ?? (kind === 'node' ? NODE_CAPACITY : VENDOR_CAPACITY)
