import type { Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { costNanoUsd, pricesHash } from '../catalog/service.ts'
import { idsOf, knowsEnough, learnNodes, longestMs, type Target, targetsFor } from '../routing/service.ts'
import { type Asked, expectedTokens, inputBound, outputBound, readRequest } from './request.ts'
import type { ChatRequest } from './schema.ts'

/** Output tokens that a stream holds ahead of what it has written. */
export const STREAM_SLICE = 1000

/** What a chat call asks of admission: tokens, the breakers of its targets, and its worst case under a hard budget. */
export function askChat(deps: Deps, policy: Policy, request: ChatRequest): Ask | Promise<Ask> {
  return askCompletion(deps, policy, readRequest(request))
}

export function askCompletion(deps: Deps, policy: Policy, asked: Asked): Ask | Promise<Ask> {
  if (knowsEnough(deps, policy, asked.wanted)) return chatAsk(deps, policy, asked)
  return learnNodes(deps).then(() => chatAsk(deps, policy, asked))
}

function chatAsk(deps: Deps, policy: Policy, asked: Asked): Ask {
  const { targets } = targetsFor(deps, policy, asked.wanted)
  const limited = policy.limits.some((limit) => limit.metric === 'tokens')
  return {
    tokens: limited ? expectedTokens(asked) : 0,
    candidates: idsOf(targets),
    hold: policy.budgets.length > 0 && targets.every(({ price }) => price) ? holdFor(deps, asked, targets) : undefined,
  }
}

/** The dearest target decides, for any of them may be the one that answers. */
function holdFor(deps: Deps, asked: Asked, targets: readonly Target[]): Ask['hold'] {
  const [first] = targets
  if (!first) return undefined
  const { provider, model, price } = first
  return {
    facts: {
      operation: asked.operation,
      provider: provider.name,
      model,
      price_id: price?.id ?? '',
      prices_hash: pricesHash,
    },
    amountNanoUsd: Math.max(...targets.map((target) => worstCase(asked, target))),
    // By then every vendor has been cut off; the time to settle is the ledger's grace.
    deadlineMs: deps.now() + longestMs(targets, asked.timeoutMs),
  }
}

/** Streams hold their output by slices; a model that thinks unseen cannot be watched, so it is held whole. */
export function heldOutput(asked: Asked, target: Target): number {
  const most = outputBound(asked, target)
  const watched = asked.stream && !target.entry?.capabilities.includes('reasoning')
  return watched ? Math.min(most, STREAM_SLICE * (asked.body.n ?? 1)) : most
}

function worstCase(asked: Asked, target: Target): number {
  return costBound(target, inputBound(asked, target), heldOutput(asked, target))
}

/** An upper bound of what these counts cost: no discount for a cache is counted on, and a cache may have to be written. */
export function costBound({ price }: Target, prompt: number, completion: number): number {
  if (!price) return 0
  const usage = { prompt, cached: 0, cacheWrite: 0, completion, reasoning: 0 }
  return Math.max(costNanoUsd(price, usage), costNanoUsd(price, { ...usage, cacheWrite: prompt }))
}
