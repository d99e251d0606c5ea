import { keepCaps } from './caps.ts'
import { banditShares, tierOf, weightOf } from './orders.ts'
import { arrange, type Option, type PlanInputs } from './plan.ts'

/**
 * How likely each option is to be the first, over all random numbers and turns, by its id; what has no chance is not
 * there. Empty where nothing may be tried.
 */
export function oddsOf(inputs: PlanInputs): ReadonlyMap<string, number> {
  const first = arrange(inputs).ordered[0]?.id
  if (first === undefined) return new Map()
  const level = firstLevel(inputs)
  switch (inputs.strategy) {
    case 'random':
    case 'round_robin':
      return shared(level, () => 1)
    case 'weighted':
      return shared(level, weightOf)
    case 'priority': {
      const best = Math.min(...level.map(priorityOf))
      return shared(
        level.filter((option) => priorityOf(option) === best),
        weightOf,
      )
    }
    case 'bandit': {
      const shares = banditShares(level, inputs.epsilon)
      return new Map(level.map(({ id }, at) => [id, shares[at] ?? 0]))
    }
    default:
      return new Map([[first, 1]])
  }
}

const priorityOf = ({ priority = 0 }: Option): number => priority

/** The options that one of is the first. */
function firstLevel({ options, hard, soft }: PlanInputs): Option[] {
  const open = options.filter(({ out }) => out === undefined)
  const fitting = keepCaps(open, { ...(hard && { hard }), ...(soft && { soft }) }).options
  const tier = Math.min(...fitting.map(tierOf))
  return fitting.filter((option) => tierOf(option) === tier)
}

function shared(options: readonly Option[], shareOf: (option: Option) => number): ReadonlyMap<string, number> {
  const total = options.reduce((sum, option) => sum + shareOf(option), 0)
  return new Map(options.map((option) => [option.id, shareOf(option) / total]))
}
