import type { Deps } from '../../core/context.ts'
import type { NodeHealth, NodeState } from '../../core/node.ts'
import { LONGEST_WAIT_MS } from '../../core/queue.ts'
import { recallFigures } from './figures.ts'
import { stateOf } from './listing.ts'
import type { Target } from './target.ts'

type World = Pick<Deps, 'memory'>

/** A call of a model that nobody has measured. */
const USUAL_MS = 5000
/** What a card is filled at from a usual disk: 300 MB a second. */
const LOAD_MB_PER_MS = 0.3
const LOADED_BONUS = 0.2

const healths: Readonly<Record<NodeHealth, number>> = { healthy: 1, degraded: 0.5, unknown: 0.5, unhealthy: 0 }

/** How a node stands as to a choice: health 0 to 1, load in calls per place, and whether it has the model in memory. */
export type NodeStanding = { health: number; load: number; isLoaded: boolean }

/** Undefined for what is no node, and for one that nobody watches. */
export function nodeStanding(world: World, { provider, model }: Target): NodeStanding | undefined {
  const { node } = provider
  const state = node && stateOf(world, provider)
  return (
    state && {
      health: healths[state.health],
      load: busyOf(state) / node.limits.gpu_tasks,
      isLoaded: hasLoaded(state, model),
    }
  )
}

const busyOf = ({ inFlight, waiting }: NodeState): number =>
  Object.values(inFlight).reduce((sum, count) => sum + count, waiting)

const hasLoaded = ({ loaded }: NodeState, model: string): boolean => loaded.some(({ name }) => name === model)

/** The time that it takes to bring a model into memory, by its size; 0 where that is not known. */
const loadMsOf = ({ models }: NodeState, model: string): number =>
  (models.find(({ name, server }) => server === 'ollama' && name === model)?.sizeMb ?? 0) / LOAD_MB_PER_MS

/**
 * Of targets in order of preference, those on nodes as they do: 0.4 health, 0.3 freedom, 0.2 quickness and 0.1 for what
 * goes well, and 0.2 where the model is loaded. They share their places among themselves; ties leave them as they are.
 */
export function withBestNodes(world: World, targets: readonly Target[]): readonly Target[] {
  const nodes = targets.filter(({ provider }) => provider.node)
  if (nodes.length < 2) return targets
  const latencies = new Map(nodes.map((target) => [target, stateOf(world, target.provider)?.latencyMs ?? Infinity]))
  const quickestMs = Math.max(1, Math.min(...latencies.values()))
  const scores = new Map(nodes.map((target) => [target, scoreOf(world, target, quickestMs)]))
  const ranked = nodes.toSorted((one, other) => (scores.get(other) ?? 0) - (scores.get(one) ?? 0))
  return targets.map((target) => (target.provider.node ? (ranked.shift() ?? target) : target))
}

function scoreOf(world: World, target: Target, quickestMs: number): number {
  const standing = nodeStanding(world, target) ?? { health: healths.unknown, load: 0, isLoaded: false }
  const latencyMs = stateOf(world, target.provider)?.latencyMs
  return (
    0.4 * standing.health +
    0.3 * (1 - Math.min(1, standing.load)) +
    0.2 * (latencyMs === undefined ? 0 : quickestMs / Math.max(quickestMs, latencyMs)) +
    0.1 * (1 - (recallFigures(world, target)?.errorRate ?? 0)) +
    (standing.isLoaded ? LOADED_BONUS : 0)
  )
}

/** How long the node of a target takes to load its model; 0 where it is loaded, and where nobody knows. */
export function coldLoadMs(world: World, { provider, model }: Target): number {
  const state = stateOf(world, provider)
  return state && !hasLoaded(state, model) ? loadMsOf(state, model) : 0
}

/**
 * Whether a call would wait at its node for longer than it can: for those who wait there already, and for its model to be
 * loaded.
 */
export function wouldWait(world: World, target: Target): boolean {
  const { provider } = target
  const state = provider.node && stateOf(world, provider)
  if (!provider.node || !state) return false
  const meanMs = recallFigures(world, target)?.latencyMs ?? USUAL_MS
  const { chat, gpu_tasks: inAll } = provider.node.limits
  const queueMs = (state.waiting * meanMs) / Math.max(1, Math.min(chat, inAll))
  return queueMs > LONGEST_WAIT_MS || queueMs + coldLoadMs(world, target) > provider.timeouts.totalMs
}
