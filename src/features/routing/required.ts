import type { Ctx, Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { isAuto, isMisspeltAuto, strategyNames } from './auto.ts'
import { type Choice, choicesFor } from './choice.ts'
import { NODE_RETRY_SECONDS } from './failure.ts'
import { listingOf } from './listing.ts'
import { refreshNodes } from './nodes.ts'
import { isNameOf, nodesOf, type Target, targetsFor, type Wanted } from './target.ts'

type World = Pick<Ctx, 'gateOf' | 'providers' | 'memory' | 'now' | 'log' | 'defer' | 'admission'>

/** The targets of a request in the caller's order, or why there are none. Throws 400, 403, 404 and 503 `AppError`s. */
export function requireTargets(ctx: World, wanted: Wanted): readonly Target[] {
  // Also for a call that finds no target: a node that was away is asked again by those who want it.
  refreshNodes(ctx)
  requireSpelling(wanted)
  const { targets, forbidden } = targetsFor(ctx, ctx.admission.policy, wanted)
  requireSome(ctx, wanted, { forbidden, isEmpty: targets.length === 0 })
  return targets
}

/** What may answer a request and by what it is chosen, or why nothing may. Throws as `requireTargets`. */
export function requireChoice(ctx: World & Pick<Ctx, 'requestId'>, wanted: Wanted): Choice {
  refreshNodes(ctx)
  requireSpelling(wanted)
  const [choice] = choicesFor(ctx, ctx.admission.policy, { wanted, requestId: ctx.requestId })
  if (!choice) throw new TypeError('routing: an experiment without variants')
  const found = choice.kind === 'plain' ? choice.targets : choice.candidates
  requireSome(ctx, wanted, { forbidden: choice.forbidden, isEmpty: found.length === 0 })
  return choice
}

/** Every target that may answer a request, in no order that matters. Throws as `requireTargets`. */
export function mayAnswer(ctx: World & Pick<Ctx, 'requestId'>, wanted: Wanted): readonly Target[] {
  const choice = requireChoice(ctx, wanted)
  return choice.kind === 'plain' ? choice.targets : choice.candidates.map(({ target }) => target)
}

/** Throws 404 for `auto:` with a word that says nothing, whatever is there to fall back to. */
export function requireSpelling({ model }: Pick<Wanted, 'model'>): void {
  if (!isMisspeltAuto(model)) return
  const message = `There is no model '${model}': after 'auto:' comes one of ${strategyNames.join(', ')}.`
  throw new AppError('model_not_found', message, { param: 'model' })
}

function requireSome(
  ctx: World,
  wanted: Wanted,
  { forbidden, isEmpty }: { forbidden: boolean; isEmpty: boolean },
): void {
  if (forbidden)
    throw new AppError('permission_denied', `This key may not use the model '${wanted.model}'.`, { param: 'model' })
  if (isEmpty) throw noTarget(ctx, wanted)
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
    const message = namesNobody(ctx)
      ? 'None of the providers that the routing policy names is configured.'
      : 'No configured model can do what this request needs.'
    return new AppError('no_capable_model', message, { param: 'model', details: { capability } })
  }
  const otherKind = wanted.kind === 'chat' ? 'embedding' : 'chat'
  if (targetsFor(ctx, ctx.admission.policy, { ...wanted, kind: otherKind }).targets.length > 0) {
    const message = `The model '${model}' cannot do this: it is for ${otherKind === 'chat' ? 'chat' : 'embeddings'}.`
    return new AppError('wrong_capability', message, { param: 'model' })
  }
  return new AppError('model_not_found', `No configured provider serves the model '${model}'.`, { param: 'model' })
}

/** The routing policy is for providers that are not there: nothing is wrong with the request. */
function namesNobody({ providers, admission }: Pick<Ctx, 'providers' | 'admission'>): boolean {
  const { targets = [] } = admission.policy.routing ?? {}
  return targets.length > 0 && targets.every(({ provider }) => !providers.has(provider))
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
