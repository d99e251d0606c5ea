import type { DecidedExperiment } from '../../core/decision.ts'
import type { Complexity, Strategy } from '../../core/routing.ts'
import { brokenBy, type CapName, keepCaps } from './caps.ts'
import { inOrder, type Placed, tierOf } from './orders.ts'
import type { Target } from './target.ts'

/**
 * `explicit`: a name that was asked for, whose targets come in order of preference. `first`: `auto` where nobody said by
 * what to choose.
 */
export type PlanStrategy = Strategy | 'explicit' | 'first'

/**
 * What a plan needs to know of one candidate, and no more: it is stored with the decision and shown as it is. Figures
 * that the strategy does not look at are left out.
 */
export type Option = {
  /** `provider/model`. */
  id: string
  /** Why it cannot be tried at all: `breaker_open`, `limit_reached`, `lacks_vision` and the like. */
  out?: string
  /** The smaller come first, whatever the strategy says; 0 unless given. Fallbacks have one above what was asked. */
  tier?: number
  /** It is a fallback of that tier, too: its turn comes with them where it is none of the first. */
  fallback_tier?: number
  /** It would keep the call waiting for longer than that can: whatever else there is comes before it. */
  would_wait?: true
  /** The default model: it comes last, and no cap of a class binds it. */
  spare?: true
  /** The smaller is tried first; where it ties nothing, the order of the options does. */
  priority?: number
  /** Above 0; 1 unless given. */
  weight?: number
  /** What this request is expected to cost, nano-USD; absent when nobody knows. */
  cost_nanos?: number
  /** It costs more than the built-in list lets it; it is relaxed like the cost of a class. */
  dear?: true
  latency_ms?: number
  /** 0 to 10. */
  quality?: number
  /** Calls under way ÷ how many it takes at once. */
  load?: number
  /** 0 to 1. */
  health?: number
  /** Of a node: the model is in its memory. */
  loaded?: true
  /** 0 to 1. */
  error_rate?: number
}

/** Absent means no cap, 0 means none of it. */
export type PlanCaps = { max_cost_nanos?: number; max_latency_ms?: number; min_quality?: number }

/** Everything that an order comes of. JSON: what is read back gives the same order again. */
export type PlanInputs = {
  strategy: PlanStrategy
  options: readonly Option[]
  /** How many targets a call tries at most of those that the strategy chooses from, which are of tier 0. */
  most: number
  /**
   * How many with those that come behind them. Decisions from before there was one tried `most` of all, gave the first a
   * strategy's reason whatever its tier, and called limits of the built-in list a class's.
   */
  most_in_all?: number
  task_type?: string
  complexity?: Complexity
  stream?: boolean
  /** Of the request: nothing beyond them is tried. */
  hard?: PlanCaps
  /** Of the class of the request: relaxed where nothing keeps them. */
  soft?: PlanCaps
  /** 0 ≤ n < 1; where the strategy draws lots. */
  random?: number
  /** Where it takes turns. */
  turn?: number
  /** How often the bandit tries something else than the best. */
  epsilon?: number
}

/** `relaxed`: of the default model, the caps of the class that it does not keep. */
export type Ordered = { id: string; reason: string; score?: number; relaxed?: readonly CapName[] }

export type Arrangement = {
  /** All that may be tried, in order. */
  ordered: readonly Ordered[]
  /** Of these what a call does try: the first `most` that the strategy chooses, then fallbacks and the default model. */
  tried: readonly Ordered[]
  excluded: readonly { id: string; reason: string }[]
  /** How likely the first was to be the first, over all random numbers and turns; 0 where there is none. */
  propensity: number
  /** Caps of the class that nothing could keep, in the order in which they were given up. */
  relaxed: readonly CapName[]
}

/** A target of a plan, with what its place came of as far as the strategy looked at it. */
export type PlannedTarget = {
  target: Target
  reason: string
  /** What the routing policy gives an attempt at it. */
  timeoutMs?: number | undefined
  score?: number | undefined
  relaxed?: readonly CapName[] | undefined
  quality?: number | undefined
  costNanoUsd?: number | undefined
  latencyMs?: number | undefined
}

export type Plan = {
  strategy: PlanStrategy
  /** To be tried in this order. */
  targets: readonly PlannedTarget[]
  excluded: readonly { id: string; reason: string }[]
  propensity?: number | undefined
  relaxed?: readonly string[] | undefined
  inputs?: PlanInputs | undefined
  experiment?: DecidedExperiment | undefined
}

/**
 * Orders the options and says why. Pure: the same inputs give the same order, bit for bit, ties going by priority and
 * then by the options' own order. There may be none left.
 */
export function arrange(inputs: PlanInputs): Arrangement {
  const { strategy, options } = inputs
  const excluded: { id: string; reason: string }[] = []
  const open: Option[] = []
  for (const option of options) {
    if (option.out === undefined) open.push(option)
    else excluded.push({ id: option.id, reason: option.out })
  }
  const fitting = keepCaps(open, inputs)
  const { placed, propensity } = inOrder(fitting.options, inputs)
  const isBehind = (option: Option): boolean => tierOf(option) > 0 && inputs.most_in_all !== undefined
  const ordered = placed.map(({ option, score }, at): Ordered => {
    const isChoice = at === 0 && !isBehind(option)
    const behind = option.spare ? 'default_model' : option.would_wait ? 'would_wait' : 'fallback'
    const reason = isChoice && !option.spare ? `${strategy}_choice` : behind
    const made: Ordered = { id: option.id, reason, ...(score !== undefined && { score }) }
    const relaxed = option.spare && inputs.soft ? brokenBy(option, inputs.soft) : []
    return relaxed.length > 0 ? { ...made, relaxed } : made
  })
  return {
    ordered,
    tried: triedOf(ordered, placed, inputs),
    excluded: [...excluded, ...fitting.excluded],
    propensity,
    relaxed: fitting.relaxed,
  }
}

function triedOf(
  ordered: readonly Ordered[],
  placed: readonly Placed[],
  { most, most_in_all: mostInAll }: PlanInputs,
): readonly Ordered[] {
  const turns = placed.map(({ option }) => turnOf(option))
  if (mostInAll === undefined || turns.every((turn) => turn === undefined)) return ordered.slice(0, most)
  const chosen = ordered.filter((_, at) => tierOf(placed[at]?.option ?? {}) === 0).slice(0, most)
  const isChosen = new Set(chosen)
  const behind = ordered.flatMap((one, at) => {
    const turn = turns[at]
    return turn === undefined || isChosen.has(one) ? [] : [{ one, turn }]
  })
  behind.sort((one, other) => (one.turn === other.turn ? 0 : one.turn - other.turn))
  return [...chosen, ...behind.map(({ one }) => one)].slice(0, mostInAll)
}

/** When an option comes that is none of the first; undefined where it then does not come at all. */
const turnOf = (option: Option): number | undefined => (tierOf(option) > 0 ? tierOf(option) : option.fallback_tier)
