import type { Admission } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { isStale, listingOf, refreshListing } from './listing.ts'
import { nodesOf, type Target, targetsFor, type Wanted } from './target.ts'

export { type Dispatched, dispatch, type FailedAttempt } from './dispatch.ts'
export { failureOf, isCallersFault, reasonOf } from './failure.ts'
export { listingOf } from './listing.ts'
export { MAX_ATTEMPTS, plan } from './plan.ts'
export { listTargets, nodesOf, type Target, targetsFor, type Wanted } from './target.ts'

/** Makes sure that this isolate has asked every node once: a cold isolate cannot know what its nodes have. */
export async function learnNodes(deps: Pick<Deps, 'providers' | 'memory' | 'now' | 'log'>): Promise<void> {
  const unknown = nodesOf(deps).filter((node) => !listingOf(deps, node))
  await Promise.all(unknown.map((node) => refreshListing(deps, node)))
}

export const knowsNodes = (deps: Pick<Deps, 'providers' | 'memory'>): boolean =>
  nodesOf(deps).every((node) => listingOf(deps, node) !== undefined)

/** Lists that have grown old are fetched again behind the caller's back. */
export function refreshNodes(ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'log' | 'defer'>): void {
  for (const node of nodesOf(ctx)) {
    if (isStale(listingOf(ctx, node), ctx.now())) ctx.defer(refreshListing(ctx, node))
  }
}

/** The targets of a request, or why there are none. Throws 403, 404 and 503 `AppError`s. */
export function requireTargets(
  ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'admission'>,
  wanted: Wanted,
): readonly Target[] {
  const { targets, forbidden } = targetsFor(ctx, ctx.admission.policy, wanted)
  if (forbidden)
    throw new AppError('permission_denied', `This key may not use the model '${wanted.model}'.`, { param: 'model' })
  if (targets.length === 0) throw noTarget(ctx, wanted)
  return targets
}

/** A wrong name, a provider without a key, or a node that cannot say. */
function noTarget(deps: Pick<Deps, 'providers' | 'memory'>, wanted: Wanted): AppError {
  const silent = nodesOf(deps).filter((node) => listingOf(deps, node)?.failed)
  if (wanted.provider !== undefined && !deps.providers.has(wanted.provider)) {
    return new AppError('model_not_found', `No provider named '${wanted.provider}' is configured.`, {
      param: 'provider',
    })
  }
  if (silent.length > 0) {
    return new AppError('no_capable_model', `The model '${wanted.model}' may be on a node that does not answer.`, {
      param: 'model',
      retryAfterSeconds: 5,
      details: { capability: wanted.kind === 'embedding' ? 'embedding' : 'completion' },
    })
  }
  return new AppError('model_not_found', `No configured provider serves the model '${wanted.model}'.`, {
    param: 'model',
  })
}

/** Under a hard budget nothing runs whose worst case could not be held. */
export function refuseUnheld({ policy, held }: Admission, targets: readonly Target[]): void {
  const unpriced = targets.find(({ price }) => !price)
  if (policy.budgets.length === 0 || held || !unpriced) return
  const message = `No price is known for '${unpriced.id}', so its cost cannot be held against a hard budget.`
  throw new AppError('invalid_request', message, { param: 'model' })
}

/** Targets as the breaker and the decision know them. */
export const idsOf = (targets: readonly Target[]): string[] => targets.map((target) => target.id)
