import { isAuto } from './auto.ts'
import type { Option, Plan, PlannedTarget } from './plan.ts'
import { nowhere, type Obstacle, obstacleOf, type Standing } from './standing.ts'
import type { Target } from './target.ts'

export type Named = Standing & {
  /** In the caller's order; those that cannot serve the call are not among them. */
  targets: readonly Target[]
  /** So many of them, the first, serve that name, and the others are fallbacks; all unless given. */
  asked?: number | undefined
  /** The name that was asked for. */
  model: string
}

/**
 * The plan where the order is the caller's: `auto` takes the first that is healthy; a named model takes those that serve
 * it, in order of preference. It is what `arrange` makes of its inputs, without their detour. Throws 503 when there is no
 * target that is healthy, and 429 when those that there are have no room, each with the time of the first to be tried
 * again, once `note` has been told.
 */
export function plan(named: Named, note?: (plan: Plan) => void): Plan {
  const { targets, asked = targets.length, model, nowMs } = named
  const strategy = isAuto(model) ? 'first' : 'explicit'
  const obstacles: Obstacle[] = []
  const excluded: { id: string; reason: string }[] = []
  const chosen: PlannedTarget[] = []
  const options: Option[] = []
  for (const [at, target] of targets.entries()) {
    const { id } = target
    const tier = at < asked ? undefined : { tier: 1 }
    const obstacle = obstacleOf(target, named)
    if (obstacle) {
      obstacles.push(obstacle)
      excluded.push({ id, reason: obstacle.reason })
      options.push({ id, ...tier, out: obstacle.reason })
    } else {
      chosen.push({ target, reason: chosen.length === 0 && !tier ? `${strategy}_choice` : 'fallback' })
      options.push({ id, ...tier })
    }
  }
  const most = targets.length
  const inputs = { strategy, options, most, ...(asked < most && { most_in_all: most }) } as const
  const made: Plan = { strategy, targets: chosen, excluded, propensity: chosen.length > 0 ? 1 : 0, relaxed: [], inputs }
  note?.(made)
  if (chosen.length === 0) throw nowhere(model, obstacles, nowMs)
  return made
}
