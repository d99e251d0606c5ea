import { AppError } from '../../core/errors.ts'
import { isAuto } from './auto.ts'
import type { Target } from './target.ts'

export type PlannedTarget = { target: Target; reason: string }
export type Plan = {
  strategy: 'explicit' | 'first'
  targets: readonly PlannedTarget[]
  excluded: readonly { id: string; reason: string }[]
}

export type PlanInput = {
  /** In the caller's order; those that cannot serve the call are not among them. */
  targets: readonly Target[]
  openBreakers: ReadonlyMap<string, number>
  /** The name that was asked for. */
  model: string
  nowMs: number
}

/**
 * Orders the targets and says why: pure, so that the same input always gives the same plan. `auto` takes the first
 * that is healthy; a named model takes the vendors that serve it, in order of preference.
 * Throws 503 when every target's breaker is open, with the time of the first to be tried again.
 */
export function plan({ targets, openBreakers, model, nowMs }: PlanInput): Plan {
  const strategy = isAuto(model) ? 'first' : 'explicit'
  const excluded: { id: string; reason: string }[] = []
  const chosen: PlannedTarget[] = []
  let firstBackMs = Number.POSITIVE_INFINITY
  for (const target of targets) {
    const openUntilMs = openBreakers.get(target.id)
    if (openUntilMs !== undefined) {
      excluded.push({ id: target.id, reason: 'breaker_open' })
      firstBackMs = Math.min(firstBackMs, openUntilMs)
    } else chosen.push({ target, reason: chosen.length === 0 ? `${strategy}_choice` : 'fallback' })
  }
  if (chosen.length > 0) return { strategy, targets: chosen, excluded }
  throw new AppError('model_overloaded', `No provider of '${model}' is healthy right now.`, {
    param: 'model',
    retryAfterSeconds: Number.isFinite(firstBackMs) ? Math.max(1, Math.ceil((firstBackMs - nowMs) / 1000)) : undefined,
  })
}
