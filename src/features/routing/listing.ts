import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { Memory } from '../../core/memory.ts'
import type { ListedModel, Provider } from '../../core/models.ts'
import type { NodeLink, NodeModel, NodeState } from '../../core/node.ts'
import { within } from '../../core/within.ts'

const FRESH_MS = 30_000
/** Who is at a node, and what is loaded there, changes sooner than what it has; its watch is asked for it, and not the node. */
const STATE_FRESH_MS = 10_000
/** The watch looks every half a minute. */
const LOOK_MAX_AGE_MS = 45_000
/** A node that did not answer is asked again sooner. */
const FAILED_FRESH_MS = 5000
const LIST_TIMEOUT_MS = 5000
/** A refresh that takes longer than this died with the request that made it. */
const LOST_MS = 30_000
/** Organisations have nodes of their own: theirs must not fill the isolate. */
const MOST_REMEMBERED = 1000

export type Listing = Memory['listings'] extends Map<string, infer One> ? One : never

type World = Pick<Deps, 'memory'>
type Asking = Pick<Deps, 'memory' | 'now' | 'log' | 'gateOf'>

/** Nodes of several organisations may have one name. */
const keyOf = ({ account, name }: Provider): string => account?.id ?? name

export const listingOf = ({ memory }: World, node: Provider): Listing | undefined => memory.listings.get(keyOf(node))

function keep({ memory }: World, node: Provider, listing: Listing): void {
  const { listings } = memory
  const key = keyOf(node)
  if (!listings.has(key) && listings.size >= MOST_REMEMBERED) listings.clear()
  listings.set(key, listing)
}

export function isStale(listing: Listing | undefined, nowMs: number): boolean {
  if (!listing) return true
  const freshMs = listing.failed ? FAILED_FRESH_MS : listing.state ? STATE_FRESH_MS : FRESH_MS
  const overdueMs = nowMs - listing.fetchedMs - freshMs
  return overdueMs > (listing.refreshing ? LOST_MS : 0)
}

/** A call could not reach the node: it serves nothing until it has been listed again. */
export function noteUnreachable(world: Pick<Deps, 'memory' | 'now'>, node: Provider): void {
  const { models, state } = listingOf(world, node) ?? { models: [] }
  keep(world, node, { models, fetchedMs: world.now(), failed: true, refreshing: false, ...(state && { state }) })
}

/** How much a model of a node reads at once, as far as its node told. */
export const windowOf = (world: World, node: Provider, model: string): number | undefined =>
  listingOf(world, node)?.models.find(({ name }) => name === model)?.contextWindow

/** What the watch over a node knew a moment ago; undefined for what nobody watches, and before anybody asked. */
export const stateOf = (world: World, node: Provider): NodeState | undefined =>
  node.node && listingOf(world, node)?.state

/** Asks a node what it has. A node that does not answer keeps its last list for show and is marked as failed. */
export async function refreshListing(world: Asking, node: Provider, maxAgeMs?: number): Promise<void> {
  const { now, log } = world
  const before = listingOf(world, node)
  if (before) before.refreshing = true
  try {
    const age = maxAgeMs ?? (before?.failed ? FAILED_FRESH_MS : LOOK_MAX_AGE_MS)
    const state = node.node && (await askWatch(world, node.node, age))
    const models = state ? state.models.filter(answersCalls).map(asListed) : await listed(node)
    const failed = state !== undefined && !isThere(state)
    keep(world, node, { models, fetchedMs: now(), failed, refreshing: false, ...(state && { state }) })
  } catch (error) {
    log.warn('node_not_listed', { node: node.name, cause: String(error) })
    keep(world, node, { models: before?.models ?? [], fetchedMs: now(), failed: true, refreshing: false })
  }
}

const listed = (node: Provider): Promise<ListedModel[]> => node.listModels(AbortSignal.timeout(LIST_TIMEOUT_MS))

/** Undefined where nobody has looked, and while the watch cannot be reached: then the node is asked itself. */
async function askWatch({ gateOf, log }: Asking, link: NodeLink, maxAgeMs: number): Promise<NodeState | undefined> {
  try {
    const looking = gateOf(link.id).look({ target: link.watch, maxAgeMs: Math.max(1, maxAgeMs) })
    const state = await within(looking, LIST_TIMEOUT_MS)
    if (!state) throw new Error('The watch did not see the node in time.')
    return state.checkedAtMs === undefined ? undefined : state
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('node_watch_away', { node: link.id, cause: String(error.cause) })
    return undefined
  }
}

const isThere = ({ health, fault }: NodeState): boolean => health !== 'unhealthy' && fault === undefined

/** What a speech server or an agent has answers no chat and embeds no text. */
const answersCalls = ({ server }: NodeModel): boolean => server === 'ollama'

const asListed = ({ name, capabilities, contextLength }: NodeModel): ListedModel => ({
  name,
  capabilities,
  contextWindow: contextLength,
})
