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

type Open = { target: Target; isBehind: boolean; option: Option }

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
  const prompt: Open[] = []
  const late: Open[] = []
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
      const isLate = named.isLate?.(target) === true
      const open = {
        target,
        isBehind: tier !== undefined,
        option: { id, ...tier, ...(isLate && { would_wait: true as const }) },
      }
      if (isLate) late.push(open)
      else prompt.push(open)
      options.push(open.option)
    }
  }
  const most = targets.length
  const isAnyBehind = late.length > 0 && prompt.length > 0
  if (!isAnyBehind) for (const { option } of late) delete option.would_wait
  const chosen = [...prompt, ...late].map(({ target, isBehind }, at): PlannedTarget => {
    const isLate = isAnyBehind && at >= prompt.length
    return { target, reason: isLate ? 'would_wait' : at === 0 && !isBehind ? `${strategy}_choice` : 'fallback' }
  })
  const isTiered = asked < most || isAnyBehind
  const inputs = { strategy, options, most, ...(isTiered && { most_in_all: most }) } as const
  const made: Plan = { strategy, targets: chosen, excluded, propensity: chosen.length > 0 ? 1 : 0, relaxed: [], inputs }
  note?.(made)
  if (chosen.length === 0) throw nowhere(model, obstacles, nowMs)
  return made
}
