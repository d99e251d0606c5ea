import type { Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { redisKeys } from '../admission/service.ts'
import { barredNow } from './breaker.ts'
import { choicesFor, planCaps, type Weighed } from './choice.ts'
import { busyOf, recallFigures } from './figures.ts'
import { createPurse } from './paying.ts'
import type { Shape } from './shape.ts'
import type { Standing } from './standing.ts'
import { breakerOf, type Target, uniqueTargets, type Wanted } from './target.ts'
import { weigh } from './weigh.ts'

/** A call of a model, as far as its way goes. */
export type RoutedCall = {
  wanted: Wanted
  /** Asked for only where something is to be chosen. */
  shape: () => Shape
  runId: string | undefined
  /** Undefined where it is not known. */
  worstCaseNanoUsd: (target: Target) => number | undefined
  /** Throws for a call that must not run at these targets, where their order is the caller's. */
  refuse?: (targets: readonly Target[]) => void
  /** Holds what these may cost as well; false where there is no room for it. */
  extend?: (targets: readonly Target[]) => Promise<boolean>
}

/** What admission is to be asked about a call. */
export type Asking = {
  /** Whatever may be chosen, the likeliest first. */
  targets: readonly Target[]
  /** Those for the dearest of which money is held. */
  held: readonly Target[]
  wishes: Pick<Ask, 'figures' | 'busy' | 'turn'>
}

type World = Pick<Deps, 'providers' | 'memory' | 'redis' | 'log' | 'now' | 'random' | 'newId'>

/** What may answer a call, in the order that this isolate thinks likely before it has asked how the targets stand. */
export function askFor(world: World, policy: Policy, call: RoutedCall): Asking {
  const choices = choicesFor(world, policy, { wanted: call.wanted })
  const weighed = choices.filter((choice) => choice.kind === 'weighed')
  const plain = choices.flatMap((choice) => (choice.kind === 'plain' ? choice.targets : []))
  if (weighed.length === 0) return { targets: plain, held: plain, wishes: {} }
  const shape = call.shape()
  const found = weighed.map((choice) => likely(world, policy, { choice, shape, call }))
  const targets = uniqueTargets([...plain, ...found.flatMap(({ held }) => held), ...found.flatMap(({ all }) => all)])
  return {
    targets,
    held: uniqueTargets([...plain, ...found.flatMap(({ held }) => held)]),
    wishes: wishesOf(world, policy, { weighed, shape, targets }),
  }
}

type Likely = { choice: Weighed; shape: Shape; call: RoutedCall }

/** Whatever the request itself does not rule out, and of it what is held for. */
function likely(world: World, policy: Policy, { choice, shape, call }: Likely): { all: Target[]; held: Target[] } {
  const standing = standingNow(world, policy, choice)
  const { arrangement } = weigh({
    choice,
    shape,
    standing,
    figuresOf: (target) => recallFigures(world, target),
    marked: policy.marked,
    unpaid: createPurse(policy, call),
    random: world.random(),
    turn: 0,
  })
  const places = new Map(arrangement.ordered.map(({ id }, at) => [id, at]))
  const ruledOut = new Set(arrangement.excluded.filter(({ reason }) => isForGood(reason)).map(({ id }) => id))
  const all = choice.candidates.map(({ target }) => target).filter(({ id }) => !ruledOut.has(id))
  const placeOf = ({ id }: Target): number => places.get(id) ?? choice.candidates.length
  const ordered = all.toSorted((one, other) => placeOf(one) - placeOf(other))
  const tried = new Set(arrangement.tried.map(({ id }) => id))
  const isHeld = isSettled(choice, arrangement) ? tried : places
  return { all: ordered, held: ordered.filter(({ id }) => isHeld.has(id)) }
}

/** Nothing that is asked of the stores changes that. */
const isForGood = (reason: string): boolean =>
  reason.startsWith('lacks_') || ['window_too_small', 'cost_unknown', 'unavailable'].includes(reason)

const byFigures: ReadonlySet<string> = new Set(['explicit', 'first', 'cost', 'latency', 'quality', 'smart'])

/**
 * Whether the order will be much the same when all is known. Where lots, turns or the hour's load decide, any of the
 * candidates may be the first, and none may be left out for want of what is held.
 */
const isSettled = ({ strategy }: Weighed, { propensity }: { propensity: number }): boolean =>
  byFigures.has(strategy) || (strategy === 'priority' && propensity === 1)

/** How this isolate thinks that the candidates stand. */
function standingNow(world: World, policy: Policy, { candidates }: Weighed): Standing {
  const nowMs = world.now()
  const openBreakers = new Map<string, number>()
  for (const { target } of candidates) {
    const barred = barredNow({ ...world, defer: () => undefined }, breakerOf(target), 0)
    if (barred) openBreakers.set(target.id, barred.untilMs)
  }
  return { openBreakers, marks: policy.marks, nowMs }
}

type Wishing = { weighed: readonly Weighed[]; shape: Shape; targets: readonly Target[] }

function wishesOf(world: World, policy: Policy, { weighed, shape, targets }: Wishing): Asking['wishes'] {
  const strategies = new Set(weighed.map(({ strategy }) => strategy))
  const isBusy = strategies.has('least_busy') || strategies.has('health_based')
  const turn = redisKeys.turn(policy.orgId, policy.routing?.id ?? 'auto')
  return {
    ...((isBusy || weighed.some((choice) => isMeasured(choice, shape))) && { figures: { taskType: shape.taskType } }),
    ...(isBusy && { busy: busyOf(world, targets) }),
    ...(strategies.has('round_robin') && { turn }),
  }
}

const measuring: ReadonlySet<string> = new Set(['cost', 'latency', 'quality', 'smart', 'bandit'])

const isMeasured = ({ strategy, hard, softFor, candidates }: Weighed, shape: Shape): boolean =>
  measuring.has(strategy) ||
  planCaps(hard) !== undefined ||
  planCaps(softFor(shape)) !== undefined ||
  candidates.some(({ row }) => row.maxCostPerRequestNanoUsd !== undefined || row.maxCostPerTokenNanoUsd !== undefined)
