import type { Admission, Ask } from '../../core/admission.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import { peek } from '../admission/service.ts'
import { askCompletion, costBound, readRequest, refuseUnbounded, routingOf } from '../completions/service.ts'
import {
  askFor,
  candidatesOf,
  decide,
  expectedCost,
  holdOf,
  knowsNodes,
  learnNodes,
  openDecision,
  type Plan,
  type RoutedCall,
  recallFigures,
  refuseUnheld,
  wishOf,
} from '../routing/service.ts'
import type { ExplainChat, ExplainFeatures, Explanation } from './schema.ts'

/** The most that a model of unknown limits is let write under a hard budget. */
const UNKNOWN_MAX_OUTPUT = 8192

/** A call that is not made, and what its admission would be asked. */
type Imagined = { call: RoutedCall; ask: Ask }

/**
 * Where a call would go now, and why: by the same steps as the call itself, but with nothing held, counted or tried.
 * Throws what the call would be told where there is nothing to choose from.
 */
export async function explain(ctx: Ctx, request: ExplainChat | ExplainFeatures): Promise<Explanation> {
  const { random } = request
  const imagined =
    'features' in request && !('messages' in request) ? await ofFeatures(ctx, request) : await ofChat(ctx, request)
  const { call, ask } = imagined
  const admission = await admissionOf(ctx, ask)
  const arrival = ctx.arrival && { ...ctx.arrival }
  const pretended = { ...ctx, admission, arrival, ...(random !== undefined && { random: () => random }) }
  const shape = call.shape()
  openDecision(pretended, { model: call.wanted.model, isStream: shape.stream, taskType: shape.taskType })
  const made = await decided(pretended, call)
  const refusal = made instanceof AppError ? made : null
  const decision = pretended.arrival?.decision
  const plan = decision?.plan
  // Without a plan there was nothing to choose from.
  if (!plan) throw refusal ?? new TypeError('routing: nothing was planned')
  const costOf = ({ target, costNanoUsd }: Plan['targets'][number]): number | null => {
    const figures = admission.figures?.get(target.id) ?? recallFigures(ctx, target)
    const nanoUsd = costNanoUsd ?? expectedCost(target, { shape, figures })?.nanoUsd
    return nanoUsd === undefined ? null : usdFromNano(nanoUsd)
  }
  const { policy } = admission
  return {
    object: 'routing_explanation',
    asked_model: call.wanted.model,
    strategy: plan.strategy,
    targets: (made instanceof AppError ? [] : made.targets).map((planned) => ({
      target: planned.target.id,
      reason: planned.reason,
      score: planned.score,
      ...(planned.relaxed && { relaxed: [...planned.relaxed] }),
      quality: planned.quality,
      cost_usd: costOf(planned),
      latency_ms: planned.latencyMs,
      timeout_ms: planned.timeoutMs,
    })),
    excluded: plan.excluded.map(({ id, reason }) => ({ target: id, reason })),
    propensity: plan.propensity ?? 0,
    relaxed: [...(plan.relaxed ?? [])],
    complexity: shape.complexity,
    task_type: shape.taskType,
    experiment: plan.experiment ?? null,
    routing_policy_id: policy.routing?.id ?? null,
    routing_policy_version: policy.routing?.version ?? null,
    policy_version: policy.version,
    prices_version: decision.pricesVersion,
    inputs: plan.inputs ? { ...plan.inputs } : null,
    refusal: refusal && {
      code: refusal.code,
      message: refusal.message,
      retry_after: refusal.retryAfterSeconds ?? null,
    },
  }
}

async function ofChat(ctx: Ctx, { random: _random, ...body }: ExplainChat): Promise<Imagined> {
  const { policy } = ctx.admission
  const asked = readRequest(body)
  if (asked.ensemble) throw unfit('ensemble_config', 'of several models none is chosen before they answer')
  const ask = await askCompletion(ctx, policy, asked)
  const held = { ...ctx.admission, held: ask.hold !== undefined }
  return {
    ask,
    call: {
      ...routingOf(asked, policy),
      refuse: (targets) => {
        refuseUnheld(held, { targets, runId: asked.runId })
        refuseUnbounded(held, asked, targets)
      },
      extend: async () => true,
    },
  }
}

async function ofFeatures(ctx: Ctx, { model, features, helix }: ExplainFeatures): Promise<Imagined> {
  const { policy } = ctx.admission
  const { input_tokens: inputTokens, max_output_tokens: maxOutputTokens, needs, stream } = features
  const runId = helix?.run_id
  const timeoutMs = helix?.timeout_ms
  const routing = wishOf(helix?.routing)
  const taskType = helix?.task_type ?? features.task_type
  const complexity = routing?.complexity ?? features.complexity
  const call: RoutedCall = {
    wanted: {
      model,
      provider: helix?.provider,
      fallbacks: helix?.fallback_models,
      kind: 'chat',
      needs,
      routing,
      taskType,
    },
    shape: () => ({ stream, inputTokens, maxOutputTokens, choices: 1, complexity, taskType, needs }),
    runId,
    worstCaseNanoUsd: (target) => {
      const most = target.entry?.maxOutputTokens ?? UNKNOWN_MAX_OUTPUT
      return target.price && costBound(target, inputTokens, Math.min(maxOutputTokens ?? most, most))
    },
    extend: async () => true,
  }
  if (!knowsNodes(ctx)) await learnNodes(ctx)
  const { targets: candidates, held: targets, wishes } = askFor(ctx, policy, call)
  const held = { operation: 'chat', policy, targets, candidates, runId, timeoutMs } as const
  const hold = holdOf(ctx, held, call.worstCaseNanoUsd)
  const admission = { ...ctx.admission, held: hold !== undefined }
  return {
    ask: { tokens: inputTokens + (maxOutputTokens ?? 0), ...candidatesOf(candidates), ...wishes, hold },
    call: { ...call, refuse: (all) => refuseUnheld(admission, { targets: all, runId }) },
  }
}

/** What the call's admission would have come to, as if there were room for what it holds. */
async function admissionOf(ctx: Ctx, ask: Ask): Promise<Admission> {
  const seen = await peek(ctx, ctx.admission.policy, ask)
  const { hold } = ask
  const isMoney = hold && (hold.facts.run_id !== null || hold.budgets.some(({ soft }) => !soft))
  return {
    ...ctx.admission,
    ...seen,
    held: hold !== undefined,
    ...(isMoney && { heldNanoUsd: hold.amountNanoUsd, heldBudgets: hold.budgets.map(({ id }) => id) }),
  }
}

/** The plan, or what the call would be told instead of an answer. */
async function decided(ctx: Ctx, call: RoutedCall): Promise<Plan | AppError> {
  try {
    return await decide(ctx, call)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}
