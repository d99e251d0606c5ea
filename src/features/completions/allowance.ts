import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { ExtendRequest } from '../../core/ledger.ts'
import { budgetsOfCall } from '../budgets/service.ts'
import { budgetsOn, type Target } from '../routing/service.ts'
import { costBound, heldOutput, routingOf, sliceOf } from './ask.ts'
import { type Asked, inputBound, outputBound } from './request.ts'

/** Another slice is asked for when this share of the last is left, so that the stream hardly ever waits for it. */
const ASK_AHEAD_SHARE = 1 / 4

type World = Pick<Ctx, 'admission' | 'ledgerOf' | 'requestId' | 'log'>

/**
 * Whether the call may send so many bytes more than it was held for, whichever of the targets answers. False when a
 * budget has no room for them.
 */
export async function coversInput(ctx: World, targets: readonly Target[], bytes: number): Promise<boolean> {
  const { admission } = ctx
  const budgets = budgetsOn(budgetsOfCall(admission), targets)
  if (!admission.held || budgets.length === 0) return true
  const amountNanoUsd = Math.max(...targets.map((target) => costBound(target, bytes, 0)))
  return extendHold(ctx, { requestId: ctx.requestId, amountNanoUsd, budgets })
}

/** Whether the call may go to any of these, whatever was held for others. */
export async function coversWhole(ctx: World, asked: Asked, targets: readonly Target[]): Promise<boolean> {
  const { admission, requestId } = ctx
  const { worstCaseNanoUsd } = routingOf(asked, admission.policy)
  const worst = targets.map(worstCaseNanoUsd).filter((amount) => amount !== undefined)
  if (!admission.held || worst.length < targets.length) return false
  const budgets = budgetsOn(budgetsOfCall(admission), targets)
  const amountNanoUsd = Math.max(0, Math.max(...worst) - (admission.heldNanoUsd ?? 0))
  return extendHold(ctx, { requestId, amountNanoUsd, budgets })
}

async function extendHold(ctx: World, request: ExtendRequest): Promise<boolean> {
  try {
    return (await ctx.ledgerOf(ctx.admission.policy.orgId).extend(request)).ok
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    ctx.log.warn('hold_not_extended', { request_id: ctx.requestId, cause: String(error.cause) })
    return false
  }
}

/** Behind a long prompt what is written costs more, too: as long as it can be, it counts where prices have such steps. */
const promptOf = (asked: Asked, target: Target): number =>
  target.price?.tiers.length ? (inputBound(asked, target) ?? target.entry?.contextWindow ?? 0) : 0

/**
 * Keeps a stream within what is held for it. `covers` says whether this much output may be shown: it extends the hold
 * by slices, and waits for the ledger only when the held output is used up.
 */
export function createAllowance(
  ctx: World,
  asked: Asked,
  target: Target,
): { covers(outputTokens: number): Promise<boolean> | boolean } {
  const { admission } = ctx
  const budgets = budgetsOfCall(admission)
  if (!admission.held || budgets.length === 0) return { covers: () => true }
  const most = outputBound(asked, target)
  let held = heldOutput(asked, target, admission.policy)
  const step = sliceOf(target, { budgets })
  const askAhead = Math.floor(step * ASK_AHEAD_SHARE)
  let asking: Promise<boolean> | undefined
  let refused = false

  const extend = async (outputTokens: number): Promise<boolean> => {
    // A batch may hold more than a slice.
    const slice = Math.min(Math.max(outputTokens - held, 0) + step, most - held)
    const prompt = promptOf(asked, target)
    const amountNanoUsd = costBound(target, prompt, held + slice) - costBound(target, prompt, held)
    const request = { requestId: ctx.requestId, amountNanoUsd, budgets: budgetsOn(budgets, [target]) }
    try {
      const isHeld = await extendHold(ctx, request)
      if (isHeld) held += slice
      refused = !isHeld
      return isHeld
    } finally {
      asking = undefined
    }
  }

  const grow = async (outputTokens: number): Promise<boolean> => {
    while (held < most && outputTokens >= held) {
      asking ??= extend(outputTokens)
      if (!(await asking)) return false
    }
    return true
  }

  return {
    covers(outputTokens) {
      if (held >= most || outputTokens + askAhead < held) return true
      if (outputTokens >= held) return grow(outputTokens)
      // Once refused, the ledger is asked again only when there is nothing left to write with.
      if (!refused) asking ??= extend(outputTokens)
      return true
    },
  }
}
