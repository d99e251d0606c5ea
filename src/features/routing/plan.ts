import { AppError } from '../../core/errors.ts'
import type { Target } from './target.ts'

/** Targets of a request over all of its attempts. */
export const MAX_ATTEMPTS = 3

export type PlannedTarget = { target: Target; reason: string }
export type Plan = {
  strategy: 'explicit' | 'first'
  targets: readonly PlannedTarget[]
  excluded: readonly { id: string; reason: string }[]
}

export type PlanInput = {
  targets: readonly Target[]
  openBreakers: ReadonlyMap<string, number>
  /** The name that was asked for. */
  model: string
  needs: readonly ('vision' | 'tools')[]
  nowMs: number
}

/**
 * Orders the targets and says why: pure, so that the same input always gives the same plan. `auto` takes the first
 * that is healthy; a named model takes the vendors that serve it, in order of preference.
 * Throws 503 when every target's breaker is open, with the time of the first to be tried again.
 */
export function plan({ targets, openBreakers, model, needs, nowMs }: PlanInput): Plan {
  const strategy = model === 'auto' || model.startsWith('auto:') ? 'first' : 'explicit'
  const excluded: { id: string; reason: string }[] = []
  const chosen: PlannedTarget[] = []
  for (const target of targets) {
    const openUntilMs = openBreakers.get(target.id)
    const lacks =
      strategy === 'first' ? needs.find((need) => target.entry && !target.entry.capabilities.includes(need)) : undefined
    if (openUntilMs !== undefined) excluded.push({ id: target.id, reason: 'breaker_open' })
    else if (lacks) excluded.push({ id: target.id, reason: `no_${lacks}` })
    else chosen.push({ target, reason: chosen.length === 0 ? `${strategy}_choice` : 'fallback' })
  }
  if (chosen.length > 0) return { strategy, targets: chosen, excluded }
  const until = Math.min(...openBreakers.values())
  if (!Number.isFinite(until)) {
    throw new AppError('no_capable_model', 'No configured model can do what this request needs.', {
      details: { capability: needs[0] ?? 'completion' },
    })
  }
  throw new AppError('model_overloaded', `No provider of '${model}' is healthy right now.`, {
    param: 'model',
    retryAfterSeconds: Math.max(1, Math.ceil((until - nowMs) / 1000)),
  })
}
