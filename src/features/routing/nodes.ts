import type { Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { isStale, listingOf, refreshListing } from './listing.ts'
import { nodesOf, targetsFor, type Wanted } from './target.ts'

/** Makes sure that this isolate has asked every node once: a cold isolate cannot know what its nodes have. */
export async function learnNodes(deps: Pick<Deps, 'providers' | 'memory' | 'now' | 'log' | 'gateOf'>): Promise<void> {
  const unknown = nodesOf(deps).filter((node) => !listingOf(deps, node))
  await Promise.all(unknown.map((node) => refreshListing(deps, node)))
}

/** Asks every node again whose list is older than that, and waits for the answers. */
export async function relearnNodes(
  deps: Pick<Deps, 'providers' | 'memory' | 'now' | 'log' | 'gateOf'>,
  maxAgeMs: number,
): Promise<void> {
  const old = nodesOf(deps).filter((node) => deps.now() - (listingOf(deps, node)?.fetchedMs ?? 0) > maxAgeMs)
  await Promise.all(old.map((node) => refreshListing(deps, node, maxAgeMs)))
}

export const knowsNodes = (deps: Pick<Deps, 'providers' | 'memory'>): boolean =>
  nodesOf(deps).every((node) => listingOf(deps, node) !== undefined)

/**
 * Whether there is anything to learn first: a node that is slow to list its models must not keep a call waiting that
 * a vendor can answer.
 */
export const knowsEnough = (
  deps: Pick<Deps, 'providers' | 'memory' | 'now'>,
  policy: Pick<Policy, 'allowedModels' | 'mode'>,
  wanted: Wanted,
): boolean => knowsNodes(deps) || targetsFor(deps, policy, wanted).targets.length > 0

/** Lists that have grown old are fetched again behind the caller's back. */
export function refreshNodes(ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'log' | 'gateOf' | 'defer'>): void {
  for (const node of nodesOf(ctx)) {
    if (isStale(listingOf(ctx, node), ctx.now())) ctx.defer(refreshListing(ctx, node))
  }
}
