import type { Admission, Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type CacheSlot, cacheAsk } from '../cache/service.ts'
import { costNanoUsd } from '../catalog/service.ts'
import {
  type Asking,
  askFor,
  candidatesOf,
  holdOf,
  isPaid,
  knowsEnough,
  learnNodes,
  type RoutedCall,
  shapeOfChat,
  type Target,
} from '../routing/service.ts'
import { slotOf } from './cached.ts'
import { type Asked, expectedTokens, inputBound, outputBound, readRequest } from './request.ts'
import type { ChatRequest } from './schema.ts'
import { signedFor } from './signatures.ts'

/** Output tokens that a stream holds ahead of what it has written, where the budgets are large enough. */
export const STREAM_SLICE = 1000
/** However small a budget is: a stream asks for more no more often than that. */
const LEAST_SLICE = 50
/** A slice is worth no more than this share of the smallest budget, so that what is left of one can be used. */
const SLICES_OF_BUDGET = 100

/** What a chat call asks of admission: tokens, the breakers of its targets, and its worst case under a hard budget. */
export function askChat(deps: Deps, policy: Policy, request: ChatRequest): Ask | Promise<Ask> {
  return askCompletion(deps, policy, readRequest(request))
}

export function askCompletion(deps: Deps, policy: Policy, asked: Asked): Ask | Promise<Ask> {
  // Loaded by the first call that wants several models.
  if (asked.ensemble) return import('./panel-ask.ts').then(({ askPanel }) => askPanel(deps, policy, asked))
  if (knowsEnough(deps, policy, asked.wanted)) return chatAsk(deps, policy, asked)
  return learnNodes(deps).then(() => chatAsk(deps, policy, asked))
}

function chatAsk(deps: Deps, policy: Policy, asked: Asked): Ask | Promise<Ask> {
  const asking = askFor(deps, policy, routingOf(asked, policy))
  const signed = signedFor(deps, policy, { asked, targets: asking.targets })
  const slot = slotOf(deps, policy, asked)
  if (!signed && !slot) return askOf(deps, policy, { asked, asking, signed: NOTHING_SIGNED })
  return Promise.all([signed ?? NOTHING_SIGNED, slot]).then(([known, place]) =>
    askOf(deps, policy, { asked, asking, signed: known, slot: place }),
  )
}

/** What may be signed of the conversation: keys that admission asks for, and the bytes of what is known already. */
type Signed = { keys: readonly string[]; bytes: number }
const NOTHING_SIGNED: Signed = { keys: [], bytes: 0 }

type Chat = {
  asked: Asked
  asking: Asking
  signed: Signed
  /** Where its answer is looked for. */
  slot?: CacheSlot | undefined
}

function askOf(deps: Deps, policy: Policy, { asked, asking, signed, slot }: Chat): Ask {
  const { targets: candidates, held: targets, wishes } = asking
  const limited = policy.limits.some((limit) => limit.metric === 'tokens')
  return {
    tokens: limited ? expectedTokens(asked) : 0,
    ...candidatesOf(candidates),
    ...wishes,
    hold: holdOf(deps, { ...asked, policy, targets, candidates }, (target) =>
      worstCase(asked, target, { policy, signedBytes: signed.bytes }),
    ),
    ...(signed.keys.length > 0 && { vault: signed.keys }),
    ...(slot && { cache: cacheAsk(deps, slot) }),
  }
}

/** What the way of a chat call depends on. */
export const routingOf = (asked: Asked, policy: Policy): RoutedCall => ({
  wanted: asked.wanted,
  shape: () => shapeOfChat({ ...asked, effort: asked.translation?.effort?.level }),
  runId: asked.runId,
  worstCaseNanoUsd: (target) => worstCase(asked, target, { policy, signedBytes: 0 }),
})

/** Streams hold their output by slices; a model that thinks unseen cannot be watched, so it is held whole. */
export function heldOutput(asked: Asked, target: Target, policy: Pick<Policy, 'budgets'>): number {
  const most = outputBound(asked, target)
  const watched = asked.stream && !target.entry?.capabilities.includes('reasoning')
  return watched ? Math.min(most, sliceOf(target, policy) * (asked.body.n ?? 1)) : most
}

/**
 * Output tokens by which a stream's hold grows. All budgets of the caller count, whichever of them apply to the call;
 * those of a run are known only once the call holds in them.
 */
export function sliceOf({ price }: Target, { budgets }: Pick<Policy, 'budgets'>): number {
  const dearest = price && Math.max(price.base.output, ...price.tiers.map(({ prices }) => prices.output))
  if (!dearest || budgets.length === 0) return STREAM_SLICE
  const shareNanoUsd = Math.min(...budgets.map(({ limitNanoUsd }) => limitNanoUsd)) / SLICES_OF_BUDGET
  const tokens = Math.floor((shareNanoUsd / dearest) * TOKENS_OF_PRICE)
  return Math.max(LEAST_SLICE, Math.min(STREAM_SLICE, tokens))
}

/** Prices are for this many tokens. */
const TOKENS_OF_PRICE = 1_000_000

type Beside = { policy: Policy; signedBytes: number }

function worstCase(asked: Asked, target: Target, { policy, signedBytes }: Beside): number | undefined {
  const input = target.price && inputBound(asked, target)
  return input === undefined ? undefined : costBound(target, input + signedBytes, heldOutput(asked, target, policy))
}

/** Under a hard budget, and within a run, nothing runs whose input could be of any size. Throws a 400 `AppError`. */
export function refuseUnbounded({ policy, held }: Admission, asked: Asked, targets: readonly Target[]): void {
  if (held || !isPaid(policy, { targets, runId: asked.runId })) return
  const unbounded = targets.find((target) => inputBound(asked, target) === undefined)
  if (!unbounded) return
  const message = `No limit is known for what '${unbounded.id}' reads of these parts, so their cost cannot be held against a hard budget.`
  throw new AppError('invalid_request', message, { param: 'messages' })
}

/** An upper bound of what these counts cost: no discount for a cache is counted on, and a cache may have to be written. */
export function costBound({ price }: Target, prompt: number, completion: number): number {
  if (!price) return 0
  const usage = { prompt, cached: 0, cacheWrite: 0, completion, reasoning: 0 }
  return Math.max(
    costNanoUsd(price, usage),
    costNanoUsd(price, { ...usage, cacheWrite: prompt, cacheWriteHour: prompt }),
  )
}
