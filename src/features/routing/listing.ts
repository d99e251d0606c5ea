import type { Deps } from '../../core/context.ts'
import type { ListedModel, Provider } from '../../core/models.ts'

const FRESH_MS = 30_000
/** A node that did not answer is asked again sooner. */
const FAILED_FRESH_MS = 5000
const LIST_TIMEOUT_MS = 5000
/** A refresh that takes longer than this died with the request that made it. */
const LOST_MS = 30_000
/** Organisations have nodes of their own: theirs must not fill the isolate. */
const MOST_REMEMBERED = 1000

export type Listing = { models: readonly ListedModel[]; fetchedMs: number; failed: boolean; refreshing: boolean }

type World = Pick<Deps, 'memory'>

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
  const overdueMs = nowMs - listing.fetchedMs - (listing.failed ? FAILED_FRESH_MS : FRESH_MS)
  return overdueMs > (listing.refreshing ? LOST_MS : 0)
}

/** A call could not reach the node: it serves nothing until it has been listed again. */
export function noteUnreachable(world: Pick<Deps, 'memory' | 'now'>, node: Provider): void {
  const models = listingOf(world, node)?.models ?? []
  keep(world, node, { models, fetchedMs: world.now(), failed: true, refreshing: false })
}

/** Asks a node what it has. A node that does not answer keeps its last list for show and is marked as failed. */
export async function refreshListing(world: Pick<Deps, 'memory' | 'now' | 'log'>, node: Provider): Promise<void> {
  const { now, log } = world
  const before = listingOf(world, node)
  if (before) before.refreshing = true
  try {
    const models = await node.listModels(AbortSignal.timeout(LIST_TIMEOUT_MS))
    keep(world, node, { models, fetchedMs: now(), failed: false, refreshing: false })
  } catch (error) {
    log.warn('node_not_listed', { node: node.name, cause: String(error) })
    keep(world, node, { models: before?.models ?? [], fetchedMs: now(), failed: true, refreshing: false })
  }
}
