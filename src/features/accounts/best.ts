import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { peek } from '../admission/service.ts'
import {
  askFor,
  candidatesOf,
  decide,
  learnNodes,
  type Need,
  type RoutedCall,
  type Target,
} from '../routing/service.ts'

export type Capability = 'completion' | 'embedding' | 'vision' | 'tools'

/** Where a call would go that leaves the choice to us and needs this. Throws 503 when there is nothing for it. */
export async function bestFor(ctx: Ctx, capability: Capability): Promise<{ target: Target; reason: string }> {
  await learnNodes(ctx)
  // Nothing is spent.
  const policy = { ...ctx.admission.policy, budgets: [] }
  const call = callFor(capability)
  const { targets, wishes } = askFor(ctx, policy, call)
  const seen = await peek(ctx, policy, { tokens: 0, ...candidatesOf(targets), ...wishes })
  const planned = await decide({ ...ctx, admission: { ...ctx.admission, policy, ...seen } }, call)
  const [best] = planned.targets
  if (best) return best
  throw new AppError('no_capable_model', 'No configured model can do this.', { details: { capability } })
}

function callFor(capability: Capability): RoutedCall {
  const needs: Need[] = capability === 'vision' || capability === 'tools' ? [capability] : []
  const isEmbedding = capability === 'embedding'
  return {
    wanted: { model: 'auto', kind: isEmbedding ? 'embedding' : 'chat', needs },
    shape: () => ({
      stream: false,
      inputTokens: 0,
      maxOutputTokens: undefined,
      choices: 1,
      complexity: 'medium',
      taskType: isEmbedding ? 'embedding_generation' : 'text_generation',
      needs,
    }),
    runId: undefined,
    worstCaseNanoUsd: () => undefined,
  }
}
