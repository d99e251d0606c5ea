import type { UsedUp } from '../../core/admission.ts'
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
  /** Those whose provider's limits leave no room. */
  usedUp?: ReadonlyMap<string, UsedUp> | undefined
  /** The name that was asked for. */
  model: string
  nowMs: number
}

const NONE: ReadonlyMap<string, UsedUp> = new Map()

/**
 * Orders the targets and says why: pure, so that the same input always gives the same plan. `auto` takes the first
 * that is healthy; a named model takes the vendors that serve it, in order of preference. There may be none left.
 */
export function arrange({ targets, openBreakers, usedUp = NONE, model, nowMs }: PlanInput): Plan {
  const strategy = isAuto(model) ? 'first' : 'explicit'
  const excluded: { id: string; reason: string }[] = []
  const chosen: PlannedTarget[] = []
  for (const target of targets) {
    if (openBreakers.has(target.id)) excluded.push({ id: target.id, reason: 'breaker_open' })
    else if (usedUp.has(target.id)) excluded.push({ id: target.id, reason: 'limit_reached' })
    else if (isResting(target, nowMs)) excluded.push({ id: target.id, reason: 'credentials_refused' })
    else chosen.push({ target, reason: chosen.length === 0 ? `${strategy}_choice` : 'fallback' })
  }
  return { strategy, targets: chosen, excluded }
}

/**
 * The same, with somewhere to go. Throws 503 when there is no target that is healthy, and 429 when those that
 * there are have no room, each with the time of the first to be tried again.
 */
export function plan(input: PlanInput): Plan {
  const arranged = arrange(input)
  if (arranged.targets.length === 0) throw nowhere(input, arranged)
  return arranged
}

/** Why a call cannot be made now, and when it can be tried again. */
export function nowhere(
  { targets, openBreakers, usedUp = NONE, model, nowMs }: PlanInput,
  { excluded }: Plan,
): AppError {
  const full = excluded.flatMap(({ id }) => usedUp.get(id) ?? [])
  const [first] = full.toSorted((one, other) => one.untilMs - other.untilMs)
  if (first) {
    const message = `The limits of every provider of '${model}' are used up.`
    const retryAfterSeconds = secondsUntil(first.untilMs, nowMs)
    return new AppError('rate_limit_exceeded', message, { retryAfterSeconds, details: { limit_id: first.limitId } })
  }
  const firstBackMs = Math.min(
    ...targets.map(({ id, readyAtMs }) => openBreakers.get(id) ?? readyAtMs ?? Number.POSITIVE_INFINITY),
  )
  return new AppError('model_overloaded', `No provider of '${model}' is healthy right now.`, {
    param: 'model',
    retryAfterSeconds: Number.isFinite(firstBackMs) ? secondsUntil(firstBackMs, nowMs) : undefined,
  })
}

/** None of the credentials of its account may be used now. */
const isResting = ({ readyAtMs = 0 }: Target, nowMs: number): boolean => readyAtMs > nowMs

const secondsUntil = (ms: number, nowMs: number): number => Math.max(1, Math.ceil((ms - nowMs) / 1000))
