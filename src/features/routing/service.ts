import type { Admission, Ask, Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { budgetsOn } from './answer.ts'
import { isAuto } from './auto.ts'
import { NODE_RETRY_SECONDS } from './failure.ts'
import { isStale, listingOf, refreshListing } from './listing.ts'
import { breakerOf, isNameOf, nodesOf, type Target, targetsFor, type Wanted } from './target.ts'

export { answerHeaders, budgetsOn, holdOf, ignoredHeader, releaseUnused } from './answer.ts'
export { decide, openDecision } from './decide.ts'
export { type Dispatched, dispatch, type FailedAttempt } from './dispatch.ts'
export { failureOf, isBilledUnanswered, isCallersFault, reasonOf } from './failure.ts'
export { begin } from './figures.ts'
export { listingOf } from './listing.ts'
export { plan } from './named.ts'
export { HelixOptions, wishOf } from './options.ts'
export { timeoutsFor } from './patience.ts'
export { type Arrangement, arrange, type Option, type Plan, type PlanInputs, type PlannedTarget } from './plan.ts'
export { giveBackUnplanned } from './run.ts'
export { listTargets, type Need, nodesOf, type Target, targetsFor, type Wanted } from './target.ts'

/** Makes sure that this isolate has asked every node once: a cold isolate cannot know what its nodes have. */
export async function learnNodes(deps: Pick<Deps, 'providers' | 'memory' | 'now' | 'log'>): Promise<void> {
  const unknown = nodesOf(deps).filter((node) => !listingOf(deps, node))
  await Promise.all(unknown.map((node) => refreshListing(deps, node)))
}

/** Asks every node again whose list is older than that, and waits for the answers. */
export async function relearnNodes(
  deps: Pick<Deps, 'providers' | 'memory' | 'now' | 'log'>,
  maxAgeMs: number,
): Promise<void> {
  const old = nodesOf(deps).filter((node) => deps.now() - (listingOf(deps, node)?.fetchedMs ?? 0) > maxAgeMs)
  await Promise.all(old.map((node) => refreshListing(deps, node)))
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
export function refreshNodes(ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'log' | 'defer'>): void {
  for (const node of nodesOf(ctx)) {
    if (isStale(listingOf(ctx, node), ctx.now())) ctx.defer(refreshListing(ctx, node))
  }
}

/** The targets of a request, or why there are none. Throws 400, 403, 404 and 503 `AppError`s. */
export function requireTargets(
  ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'log' | 'defer' | 'admission'>,
  wanted: Wanted,
): readonly Target[] {
  // Also for a call that finds no target: a node that was away is asked again by those who want it.
  refreshNodes(ctx)
  const { targets, forbidden } = targetsFor(ctx, ctx.admission.policy, wanted)
  if (forbidden)
    throw new AppError('permission_denied', `This key may not use the model '${wanted.model}'.`, { param: 'model' })
  if (targets.length === 0) throw noTarget(ctx, wanted)
  return targets
}

/** A provider without a key, a node that cannot say, a model of another kind, or a wrong name. */
function noTarget(ctx: Pick<Ctx, 'providers' | 'memory' | 'now' | 'admission'>, wanted: Wanted): AppError {
  const { model, provider } = wanted
  const capability = wanted.needs?.[0] ?? (wanted.kind === 'chat' ? 'completion' : wanted.kind)
  if (provider !== undefined && !ctx.providers.has(provider)) {
    return new AppError('model_not_found', `No provider named '${provider}' is configured.`, { param: 'provider' })
  }
  if (silentNodeOf(ctx, wanted)) {
    return new AppError('no_capable_model', `The model '${model}' is on a node that does not answer.`, {
      param: 'model',
      retryAfterSeconds: NODE_RETRY_SECONDS,
      details: { capability },
    })
  }
  if (isAuto(model)) {
    const message = 'No configured model can do what this request needs.'
    return new AppError('no_capable_model', message, { param: 'model', details: { capability } })
  }
  const otherKind = wanted.kind === 'chat' ? 'embedding' : 'chat'
  if (targetsFor(ctx, ctx.admission.policy, { ...wanted, kind: otherKind }).targets.length > 0) {
    const message = `The model '${model}' cannot do this: it is for ${otherKind === 'chat' ? 'chat' : 'embeddings'}.`
    return new AppError('wrong_capability', message, { param: 'model' })
  }
  return new AppError('model_not_found', `No configured provider serves the model '${model}'.`, { param: 'model' })
}

/** A node that does not answer and has the model, or has never told what it has. */
function silentNodeOf(deps: Pick<Deps, 'providers' | 'memory'>, { model, provider }: Wanted): boolean {
  return nodesOf(deps).some((node) => {
    const listing = listingOf(deps, node)
    if (!listing?.failed || (provider !== undefined && provider !== node.name)) return false
    const name = model.startsWith(`${node.name}/`) ? model.slice(node.name.length + 1) : model
    return listing.models.length === 0 || isAuto(model) || listing.models.some((listed) => isNameOf(name, listed.name))
  })
}

/** Under a hard budget, and within a run, nothing runs whose worst case could not be held. */
export function refuseUnheld(
  { policy, held }: Admission,
  { targets, runId }: { targets: readonly Target[]; runId: string | undefined },
): void {
  const unpriced = targets.find(({ price }) => !price)
  if (held || !unpriced || !isPaid(policy, { targets, runId })) return
  const message = `No price is known for '${unpriced.id}', so its cost cannot be held against a hard budget.`
  throw new AppError('invalid_request', message, { param: 'model' })
}

/** Whether a call which any of these targets may answer can be refused for want of money. */
export const isPaid = (
  { budgets }: Pick<Policy, 'budgets'>,
  { targets, runId }: { targets: readonly Target[]; runId: string | undefined },
): boolean => runId !== undefined || budgetsOn(budgets, targets).length > 0

/** Targets as admission wants to know them: by the names that limits give, and by what their breakers go by. */
export function candidatesOf(targets: readonly Target[]): Pick<Ask, 'candidates' | 'breakers'> {
  const candidates = targets.map(({ id }) => id)
  const isShared = targets.every(({ provider }) => !provider.account)
  return isShared ? { candidates } : { candidates, breakers: targets.map(breakerOf) }
}
