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
  /** Those whose provider's limits leave no room, with the time in Unix milliseconds at which there is some again. */
  usedUp?: ReadonlyMap<string, number> | undefined
  /** The name that was asked for. */
  model: string
  nowMs: number
}

const NONE: ReadonlyMap<string, number> = new Map()

/**
 * Orders the targets and says why: pure, so that the same input always gives the same plan. `auto` takes the first
 * that is healthy; a named model takes the vendors that serve it, in order of preference.
 * Throws 503 when there is no target whose breaker is closed, and 429 when those that there are have no room, each with
 * the time of the first to be tried again.
 */
export function plan({ targets, openBreakers, usedUp = NONE, model, nowMs }: PlanInput): Plan {
  const strategy = isAuto(model) ? 'first' : 'explicit'
  const excluded: { id: string; reason: string }[] = []
  const chosen: PlannedTarget[] = []
  for (const target of targets) {
    if (openBreakers.has(target.id)) excluded.push({ id: target.id, reason: 'breaker_open' })
    else if (usedUp.has(target.id)) excluded.push({ id: target.id, reason: 'limit_reached' })
    else chosen.push({ target, reason: chosen.length === 0 ? `${strategy}_choice` : 'fallback' })
  }
  if (chosen.length > 0) return { strategy, targets: chosen, excluded }
  const full = excluded.filter(({ reason }) => reason === 'limit_reached')
  const retryAfterSeconds = secondsUntil(full.length > 0 ? usedUp : openBreakers, { excluded, nowMs })
  if (full.length > 0) {
    const message = `The limits of every provider of '${model}' are used up.`
    throw new AppError('rate_limit_exceeded', message, { param: 'model', retryAfterSeconds })
  }
  const message = `No provider of '${model}' is healthy right now.`
  throw new AppError('model_overloaded', message, { param: 'model', retryAfterSeconds })
}

/** Until the first of these targets comes back; undefined when nobody knows. */
function secondsUntil(
  times: ReadonlyMap<string, number>,
  { excluded, nowMs }: { excluded: Plan['excluded']; nowMs: number },
): number | undefined {
  const firstMs = Math.min(...excluded.map(({ id }) => times.get(id) ?? Number.POSITIVE_INFINITY))
  return Number.isFinite(firstMs) ? Math.max(1, Math.ceil((firstMs - nowMs) / 1000)) : undefined
}
