import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { type Asked, estimatedPrompt, requestFor, routingOf } from '../completions/service.ts'
import { askFor, failureOf, isCallersFault, requireTargets, type Target, timeoutsFor } from '../routing/service.ts'

/** Input tokens of a request, and whether they are our estimate. */
export type TokenCount = { tokens: number; estimated: boolean }

/**
 * Counts what the first target would read: by the target itself where it offers that, else by an estimate. Throws
 * `AppError` when there is no target, or when it says that the request is wrong.
 */
export async function countTokens(ctx: Ctx, asked: Asked): Promise<TokenCount> {
  requireTargets(ctx, asked.wanted)
  const { policy } = ctx.admission
  // Nothing was asked of how the targets stand: it is the likeliest that counts.
  const [first] = askFor(ctx, policy, routingOf(asked, policy)).targets
  const tokens = first && (await countedBy(ctx, first, asked))
  return tokens === undefined
    ? { tokens: estimatedPrompt(asked, estimateTokens), estimated: true }
    : { tokens, estimated: false }
}

/** The target's own count; undefined where it has none to offer now. */
async function countedBy(ctx: Ctx, target: Target, asked: Asked): Promise<number | undefined> {
  try {
    const { body, native } = requestFor(ctx, target, asked)
    return await target.provider.countTokens?.({
      requestId: ctx.requestId,
      model: target.model,
      body,
      native,
      strict: asked.strict,
      signal: ctx.signal,
      timeouts: timeoutsFor(target, { startedMs: ctx.startedMs, timeoutMs: asked.timeoutMs }, ctx.now()),
    })
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    if (isCallersFault(error)) throw failureOf([{ target, error }])
    ctx.log.warn('tokens_not_counted', { request_id: ctx.requestId, target: target.id, message: error.message })
    return undefined
  }
}
