import { nanoFromUsd, usdFromNano } from '../../core/money.ts'
import type { Complexity } from '../../core/routing.ts'
import { createLots, drawn, shareOf } from './lots.ts'
import type { Option, PlanInputs } from './plan.ts'

export type Placed = { option: Option; score?: number }
type Placing = { placed: readonly Placed[]; propensity: number }

/** What quality, cost and latency weigh in a score, by how complex the request is. */
const exponents: Readonly<Record<Complexity, readonly [quality: number, cost: number, latency: number]>> = {
  simple: [1, 1, 1],
  medium: [2, 0.5, 0.5],
  complex: [4, 0.25, 0.25],
}
/** What is cheaper or quicker than that is so cheap or quick that it no longer matters by how much. */
const LEAST_COST_USD = 0.00001
const LEAST_LATENCY_SECONDS = 0.1
const EPSILON = 0.1
/** Behind every fallback. */
const LATE_TIER = 100

/** Options by tier, the spare ones last, and within a tier as the strategy says. */
export function inOrder(options: readonly Option[], inputs: PlanInputs): Placing {
  const [first] = options
  if (!first) return { placed: [], propensity: 0 }
  const isOneTier = options.every((option) => tierOf(option) === tierOf(first))
  if (isOneTier) return byStrategy(options, inputs)
  const tiers = Map.groupBy(options, tierOf)
  const placings = [...tiers.keys()]
    .toSorted((one, other) => one - other)
    .map((tier) => byStrategy(tiers.get(tier) ?? [], inputs))
  return { placed: placings.flatMap(({ placed }) => placed), propensity: placings[0]?.propensity ?? 0 }
}

export const tierOf = ({
  tier = 0,
  spare,
  would_wait: isLate,
}: Pick<Option, 'tier' | 'spare' | 'would_wait'>): number =>
  spare ? Number.POSITIVE_INFINITY : isLate ? LATE_TIER + tier : tier

function byStrategy(options: readonly Option[], inputs: PlanInputs): Placing {
  switch (inputs.strategy) {
    case 'explicit':
    case 'first':
      return sure(options)
    case 'priority':
      return byPriority(options, inputs)
    case 'cost':
      return sure(ascending(options, ({ cost_nanos: cost }) => cost))
    case 'latency':
      return sure(ascending(options, ({ latency_ms: latency }) => latency))
    case 'quality':
      return sure(ascending(options, ({ quality }) => quality && -quality))
    case 'smart':
      return scored(options, scoreBy(options, inputs.complexity ?? 'medium'))
    case 'round_robin':
      return inTurn(options, inputs.turn ?? 0)
    case 'weighted':
      return byLot(options, weightOf, inputs)
    case 'random':
      return byLot(options, () => 1, inputs)
    case 'least_busy':
      return sure(ascending(options, ({ load }) => load ?? 0))
    case 'health_based':
      return scored(options, healthBy(options))
    case 'bandit':
      return explored(options, inputs)
  }
}

export const weightOf = ({ weight = 1 }: Option): number => weight

const sure = (options: readonly Option[]): Placing => ({
  placed: options.map((option) => ({ option })),
  propensity: 1,
})

/** What is not known comes last; ties go by priority, then by the order that they came in. */
function ascending(options: readonly Option[], figureOf: (option: Option) => number | undefined): Option[] {
  const known = options.map((option, at) => ({
    option,
    at,
    figure: figureOf(option) ?? Number.POSITIVE_INFINITY,
    priority: option.priority ?? 0,
  }))
  known.sort((one, other) => compare(one.figure, other.figure) || one.priority - other.priority || one.at - other.at)
  return known.map(({ option }) => option)
}

/** Infinite figures are equal to each other. */
const compare = (one: number, other: number): number => (one < other ? -1 : Number(one > other))

function scored(options: readonly Option[], scoreOf: (option: Option) => number): Placing {
  const scores = new Map(options.map((option) => [option, scoreOf(option)]))
  const ordered = ascending(options, (option) => -(scores.get(option) ?? 0))
  return { placed: ordered.map((option) => ({ option, score: scores.get(option) ?? 0 })), propensity: 1 }
}

/** `quality^a ÷ (cost^b × latency^c)`; what nobody has a price for counts as the dearest of those that have one. */
function scoreBy(options: readonly Option[], complexity: Complexity): (option: Option) => number {
  const [a, b, c] = exponents[complexity]
  const dearest = Math.max(nanoFromUsd(LEAST_COST_USD), ...options.map(({ cost_nanos: cost }) => cost ?? 0))
  return ({ quality = 0, cost_nanos: cost = dearest, latency_ms: latency = 0 }) =>
    quality ** a /
    (Math.max(usdFromNano(cost), LEAST_COST_USD) ** b * Math.max(latency / 1000, LEAST_LATENCY_SECONDS) ** c)
}

/** `0.4 health + 0.3 (1 − load) + 0.2 latency + 0.1 (1 − errors)`; latency is the quickest's as a share of one's own; a node that has the model loaded gets 0.2 more. */
function healthBy(options: readonly Option[]): (option: Option) => number {
  const quickest = Math.max(
    1,
    Math.min(...options.map(({ latency_ms: latency }) => latency ?? Number.POSITIVE_INFINITY)),
  )
  return ({ health = 1, load = 0, latency_ms: latency, error_rate: errors = 0, loaded }) =>
    0.4 * health +
    0.3 * (1 - Math.min(1, load)) +
    0.2 * (latency === undefined ? 0 : quickest / Math.max(quickest, latency)) +
    0.1 * (1 - errors) +
    (loaded ? 0.2 : 0)
}

/** Ascending, and those of equal priority drawn by weight. */
function byPriority(options: readonly Option[], { random = 0 }: PlanInputs): Placing {
  const lots = createLots(random)
  const levels = Map.groupBy(options, ({ priority = 0 }) => priority)
  const order = [...levels.keys()].toSorted((one, other) => one - other)
  const placed = order.flatMap((level) => drawn(levels.get(level) ?? [], weightOf, lots))
  const best = levels.get(order[0] ?? 0) ?? []
  return { placed: placed.map((option) => ({ option })), propensity: shareOfFirst(placed[0], best, weightOf) }
}

function byLot(options: readonly Option[], weight: (option: Option) => number, { random = 0 }: PlanInputs): Placing {
  const placed = drawn(options, weight, createLots(random))
  return { placed: placed.map((option) => ({ option })), propensity: shareOfFirst(placed[0], options, weight) }
}

function shareOfFirst(first: Option | undefined, among: readonly Option[], weight: (option: Option) => number): number {
  if (!first || among.length === 1) return 1
  return weight(first) / among.reduce((sum, option) => sum + weight(option), 0)
}

/** Each is the first in its turn, so over all turns all are equally often. */
function inTurn(options: readonly Option[], turn: number): Placing {
  const at = turn % options.length
  const placed = [...options.slice(at), ...options.slice(0, at)].map((option) => ({ option }))
  return { placed, propensity: 1 / options.length }
}

/** ε-greedy: the best by quality, those that tie sharing it, and with ε any of them. */
export function banditShares(options: readonly Option[], epsilon = EPSILON): number[] {
  const best = Math.max(...options.map(({ quality = 0 }) => quality))
  const tied = options.filter(({ quality = 0 }) => quality === best).length
  return options.map(({ quality = 0 }) => epsilon / options.length + (quality === best ? (1 - epsilon) / tied : 0))
}

function explored(options: readonly Option[], { epsilon, random = 0 }: PlanInputs): Placing {
  const shares = banditShares(options, epsilon)
  const at = shareOf(shares, random)
  const chosen = options[at]
  const others = ascending(
    options.filter((option) => option !== chosen),
    ({ quality }) => quality && -quality,
  )
  const placed = [...(chosen ? [chosen] : []), ...others].map((option) => ({ option }))
  return { placed, propensity: options.length === 1 ? 1 : (shares[at] ?? 0) }
}
