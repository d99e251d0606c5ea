import type { Deps } from '../../core/context.ts'
import { type ChatCall, UpstreamError } from '../../core/models.ts'
import { listingOf, type Target } from '../routing/service.ts'
import { type Asked, nativeFor, outputPerChoice } from './request.ts'

type ForTarget = Pick<ChatCall, 'body' | 'native'> & {
  /** The most output that may be asked of the target; undefined leaves it to the caller. */
  mostOutput: number | undefined
  /** What of the request it does not get. */
  ignored: readonly string[]
}

/**
 * What one target is sent of a request: for most as it is; for one that came in another wire its own words where the
 * target speaks them, else its translation, as far as the model can follow it.
 * Throws `UpstreamError('status', 400)` when a strict caller's request would lose something.
 */
export function requestFor(world: Pick<Deps, 'memory'>, target: Target, asked: Asked): ForTarget {
  const { body, translation } = asked
  if (!translation) return { body, native: undefined, mostOutput: limitToState(target, asked), ignored: [] }
  const native = nativeFor(asked, target)
  if (native) return { body, native, mostOutput: undefined, ignored: [] }
  const { untranslated, effort } = translation
  const thinks = effort !== undefined && canThink(world, target)
  const ignored = effort === undefined || thinks ? untranslated : [...untranslated, effort.field]
  if (asked.strict) refuseLoss(target, ignored)
  // A call that shall write nothing makes sense only where it is known what for.
  if (body.max_tokens === 0) refuseLoss(target, ['max_tokens: 0'])
  return {
    body: thinks ? { ...body, reasoning_effort: effort.level } : body,
    native: undefined,
    // Callers of another wire ask for what their own models can write, which others refuse.
    mostOutput: target.entry && outputPerChoice(body, target),
    ignored,
  }
}

/** Anthropic's wire wants a limit with every request: where the caller set none, what the model can write. */
const limitToState = (target: Target, { body }: Asked): number | undefined =>
  target.provider.wire === 'anthropic' && target.entry ? outputPerChoice(body, target) : undefined

function refuseLoss({ provider }: Target, [param]: readonly string[]): void {
  if (param === undefined) return
  const message = `${provider.name} cannot express '${param}'.`
  const vendor = { message, type: 'invalid_request_error', param, code: 'unsupported_parameter' }
  throw new UpstreamError('status', message, { status: 400, vendor })
}

/** Whether a model is known to think when it is told to; one that is not may refuse to be told. */
function canThink(world: Pick<Deps, 'memory'>, { provider, model, entry }: Target): boolean {
  if (provider.kind === 'vendor') return entry?.capabilities.includes('reasoning') ?? false
  const listed = listingOf(world, provider)?.models.find(({ name }) => name === model)
  return listed?.capabilities?.includes('thinking') ?? false
}
