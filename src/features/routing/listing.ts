import type { Deps } from '../../core/context.ts'
import type { ListedModel, Provider } from '../../core/models.ts'

const FRESH_MS = 30_000
/** A node that did not answer is asked again sooner. */
const FAILED_FRESH_MS = 5000
const LIST_TIMEOUT_MS = 5000
/** A refresh that takes longer than this died with the request that made it. */
const LOST_MS = 30_000

export type Listing = { models: readonly ListedModel[]; fetchedMs: number; failed: boolean; refreshing: boolean }

type World = Pick<Deps, 'memory'>

export const listingOf = ({ memory }: World, node: Provider): Listing | undefined => memory.listings.get(node.name)

export function isStale(listing: Listing | undefined, nowMs: number): boolean {
  if (!listing) return true
  const overdueMs = nowMs - listing.fetchedMs - (listing.failed ? FAILED_FRESH_MS : FRESH_MS)
  return overdueMs > (listing.refreshing ? LOST_MS : 0)
}

/** A call could not reach the node: it serves nothing until it has been listed again. */
export function noteUnreachable({ memory, now }: Pick<Deps, 'memory' | 'now'>, node: Provider): void {
  const models = memory.listings.get(node.name)?.models ?? []
  memory.listings.set(node.name, { models, fetchedMs: now(), failed: true, refreshing: false })
}

/** Asks a node what it has. A node that does not answer keeps its last list for show and is marked as failed. */
export async function refreshListing(
  { memory, now, log }: Pick<Deps, 'memory' | 'now' | 'log'>,
  node: Provider,
): Promise<void> {
  const before = memory.listings.get(node.name)
  if (before) before.refreshing = true
  try {
    const models = await node.listModels(AbortSignal.timeout(LIST_TIMEOUT_MS))
    memory.listings.set(node.name, { models, fetchedMs: now(), failed: false, refreshing: false })
  } catch (error) {
    log.warn('node_not_listed', { node: node.name, cause: String(error) })
    memory.listings.set(node.name, { models: before?.models ?? [], fetchedMs: now(), failed: true, refreshing: false })
  }
}
