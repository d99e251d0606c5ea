import type { Limit, Policy, WantedHold } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import type { BudgetRef, CallFacts } from '../../core/ledger.ts'
import type { Priority } from '../../core/routing.ts'
import { headerText } from '../../http/header-text.ts'
import { giveBackProbes } from '../admission/service.ts'
import { budgetsFor } from '../budgets/service.ts'
import { pricesHash } from '../catalog/service.ts'
import { isOnTarget } from '../limits/service.ts'
import { longestMs } from './patience.ts'
import type { Target } from './target.ts'

type Answered = {
  answer: { ignored: readonly string[] }
  target: { provider: { name: string }; model: string }
  attempts: number
}

/** What every answer of a model tells of itself, whatever its form. */
export function answerHeaders(
  ctx: Pick<Ctx, 'now' | 'startedMs'>,
  { answer, target, attempts }: Answered,
): Record<string, string> {
  const elapsedMs = String(ctx.now() - ctx.startedMs)
  const headers = {
    'x-helix-provider': target.provider.name,
    'x-helix-model': headerText(target.model),
    'x-helix-attempts': String(attempts),
    'x-helix-latency-ms': elapsedMs,
    'openai-processing-ms': elapsedMs,
  }
  return { ...headers, ...ignoredHeader(answer.ignored) }
}

/** Names the fields of a request that nothing came of. */
export const ignoredHeader = (fields: readonly string[]): Record<string, string> =>
  fields.length > 0 ? { 'x-helix-ignored-params': headerText(fields.join(',')) } : {}

/** The call ends before any provider has answered: what it held is free again, and so is what it might have tried. */
export function releaseUnused(
  ctx: Pick<Ctx, 'admission' | 'defer' | 'ledgerOf' | 'requestId' | 'redis' | 'now'>,
): void {
  giveBackProbes(ctx, ctx.admission)
  if (ctx.admission.held) ctx.defer(ctx.ledgerOf(ctx.admission.policy.orgId).release(ctx.requestId))
}

const bindsOneOf = (targets: readonly Target[], limit: Limit): boolean =>
  limit.target === undefined || targets.some(({ id }) => isOnTarget(limit, id))

type Held = {
  operation: CallFacts['operation']
  policy: Pick<Policy, 'budgets' | 'watched' | 'limits'>
  /** Any of these may answer, and the dearest of them is held for. */
  targets: readonly Target[]
  /** Those that may answer if it turns out that what is held covers them; the same ones unless given. */
  candidates?: readonly Target[]
  /** The run that the call is part of. */
  runId: string | undefined
  timeoutMs: number | undefined
  priority?: Priority | undefined
}

/** The budgets that apply to a call which any of these targets may answer. */
export function budgetsOn(budgets: readonly BudgetRef[], targets: readonly Target[]): BudgetRef[] {
  if (budgets.length === 0) return []
  return budgetsFor(
    budgets,
    targets.map(({ provider, model, price }) => ({ provider: provider.name, model, priceId: price?.id ?? '' })),
  )
}

/**
 * What a call holds under hard budgets: the dearest target decides, for any of them may be the one that answers.
 * Undefined when no budget, run or concurrency limit applies, when there is no target, or when the worst case of
 * one is not known.
 */
export function holdOf(
  deps: Pick<Deps, 'now'>,
  { operation, policy, targets, candidates = targets, timeoutMs, runId, priority }: Held,
  worstCaseNanoUsd: (target: Target) => number | undefined,
): WantedHold | undefined {
  const hard = budgetsOn(policy.budgets, targets)
  const [first] = targets
  const isCounted = policy.limits.some((limit) => limit.metric === 'concurrency' && bindsOneOf(candidates, limit))
  const isPaid = hard.length > 0 || runId !== undefined
  if (!isPaid && !isCounted) return undefined
  const amounts = targets.map(isPaid ? worstCaseNanoUsd : () => 0).filter((amount) => amount !== undefined)
  if (!first || amounts.length < targets.length) return undefined
  const facts = {
    operation,
    run_id: runId ?? null,
    provider: first.provider.name,
    model: first.model,
    price_id: first.price?.id ?? '',
    prices_hash: pricesHash,
  }
  // By its deadline every vendor has been cut off; the time to settle is the ledger's grace.
  const deadlineMs = deps.now() + longestMs(candidates, timeoutMs)
  return {
    facts,
    amountNanoUsd: Math.max(...amounts),
    deadlineMs,
    budgets: [...hard, ...budgetsOn(policy.watched ?? [], targets)],
    priority,
  }
}
