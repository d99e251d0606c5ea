import type { Admission, Policy, UsedUp } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { ModelMark } from '../../core/routing.ts'
import { isAuto } from './auto.ts'
import type { Target } from './target.ts'

/** How candidates stand now, whatever the request: what admission told of them, and what their organisation said. */
export type Standing = Pick<Admission, 'openBreakers' | 'usedUp' | 'states'> & {
  marks?: readonly ModelMark[] | undefined
  /** Its node is so busy, or has so much to load first, that another is tried before it. */
  isLate?: ((target: Target) => boolean) | undefined
  nowMs: number
}

/** What keeps a target from being tried now, and when it no longer does (Unix ms), as far as anybody knows. */
export type Obstacle = {
  reason: 'breaker_open' | 'cooling' | 'limit_reached' | 'credentials_refused' | 'unavailable' | 'draining'
  untilMs: number | undefined
  limitId?: string
}

/** Undefined for a target that may be tried. `names`: what the caller called it, beside its own names. */
export function obstacleOf(target: Target, standing: Standing, names: readonly string[] = []): Obstacle | undefined {
  const { openBreakers, usedUp, states, marks, nowMs } = standing
  const { id, readyAtMs = 0 } = target
  const mark = marks && markOf(target, { marks, nowMs, names })
  if (mark) return { reason: 'unavailable', untilMs: mark.untilMs }
  if (target.provider.node?.isDraining) return { reason: 'draining', untilMs: undefined }
  if (openBreakers.has(id)) return { reason: 'breaker_open', untilMs: openBreakers.get(id) }
  const state = states?.get(id)
  if (state?.kind === 'cooling') return { reason: 'cooling', untilMs: state.untilMs }
  const used = usedUp?.get(id)
  if (used) return { reason: 'limit_reached', untilMs: used.untilMs, limitId: used.limitId }
  return readyAtMs > nowMs ? { reason: 'credentials_refused', untilMs: readyAtMs } : undefined
}

/** Whether its organisation has marked a target, which the caller may have called by another name. */
export const isOutOfUse = (
  { now }: Pick<Deps, 'now'>,
  { marks = [] }: Pick<Policy, 'marks'>,
  target: Target,
  name?: string,
): boolean => markOf(target, { marks, nowMs: now(), names: name === undefined ? [] : [name] }) !== undefined

type Marked = { marks: readonly ModelMark[]; nowMs: number; names: readonly string[] }

/** A mark names a target, a model whoever serves it, or what callers call it. */
function markOf({ id, model }: Target, { marks, nowMs, names }: Marked): ModelMark | undefined {
  const family = model.slice(model.lastIndexOf('/') + 1)
  return marks.find(
    ({ model: marked, untilMs = Number.POSITIVE_INFINITY }) =>
      untilMs > nowMs && (marked === id || marked === model || marked === family || names.includes(marked)),
  )
}

/** Why a call cannot be made now, and when it can be tried again. */
export function nowhere(model: string, obstacles: readonly Obstacle[], nowMs: number): AppError {
  const soonest = (some: readonly Obstacle[]): number | undefined => {
    const untilMs = Math.min(...some.map(({ untilMs: one = Number.POSITIVE_INFINITY }) => one))
    return Number.isFinite(untilMs) ? Math.max(1, Math.ceil((untilMs - nowMs) / 1000)) : undefined
  }
  const full = obstacles.filter(isFull).toSorted((one, other) => one.untilMs - other.untilMs)
  const [first] = full
  if (first) {
    const message = `The limits of every provider of '${model}' are used up.`
    return new AppError('rate_limit_exceeded', message, {
      retryAfterSeconds: soonest(full),
      details: { limit_id: first.limitId },
    })
  }
  if (obstacles.length > 0 && obstacles.every(({ reason }) => reason === 'cooling')) {
    const message = `No provider of '${model}' has capacity left right now.`
    return new AppError('rate_limit_exceeded', message, { retryAfterSeconds: soonest(obstacles) })
  }
  const isTakenOut = obstacles.length > 0 && obstacles.every(({ reason }) => reason === 'unavailable')
  const takenOut = isAuto(model)
    ? 'Whatever could answer was taken out of use.'
    : `The model '${model}' was taken out of use.`
  const isDraining = obstacles.length > 0 && obstacles.every(({ reason }) => reason === 'draining')
  const why = isDraining ? `Every node of '${model}' is draining.` : `No provider of '${model}' is healthy right now.`
  return new AppError('model_overloaded', isTakenOut ? takenOut : why, {
    param: 'model',
    retryAfterSeconds: soonest(obstacles),
  })
}

const isFull = (obstacle: Obstacle): obstacle is Obstacle & UsedUp =>
  obstacle.reason === 'limit_reached' && obstacle.limitId !== undefined && obstacle.untilMs !== undefined
