import type { Figures, JudgedTargets } from '../../core/routing.ts'
import type { Candidate } from './candidates.ts'
import { planCaps, type Weighed } from './choice.ts'
import type { NodeStanding } from './node-choice.ts'
import { optionOf, type Wants, wantsOf } from './option.ts'
import { type Arrangement, arrange, type Option, type Plan, type PlanInputs, type PlannedTarget } from './plan.ts'
import type { Shape } from './shape.ts'
import { type Obstacle, obstacleOf, type Standing } from './standing.ts'
import { MAX_TARGETS, type Target } from './target.ts'

export type Weighing = {
  choice: Weighed
  shape: Shape
  standing: Standing
  figuresOf: (target: Target) => Figures | undefined
  /** What the watches over nodes say. */
  nodeOf?: (target: Target) => NodeStanding | undefined
  /** What judges of the caller's organisation thought, by target. */
  marked: JudgedTargets | undefined
  /** Why a target cannot be paid for; undefined for one that can. */
  unpaid: (target: Target) => string | undefined
  random: number
  turn: number | undefined
}

export type Weighted = { plan: Plan; arrangement: Arrangement; obstacles: readonly Obstacle[] }

/** The plan that comes of figures, caps, lots and turns; it may lead nowhere. Pure. */
export function weigh(weighing: Weighing): Weighted {
  const { choice, shape, standing } = weighing
  const hard = planCaps(choice.hard)
  const soft = planCaps(choice.softFor(shape))
  const wants = wantsOf(choice.strategy, cappedBy({ ...soft, ...hard }))
  const obstacles: Obstacle[] = []
  const options = choice.candidates.map((candidate) => {
    const obstacle = obstacleOf(candidate.target, standing, candidate.name === undefined ? [] : [candidate.name])
    if (obstacle) obstacles.push(obstacle)
    return ofCandidate(candidate, weighing, { wants, obstacle })
  })
  relegate(options, weighing)
  const missing = choice.unconfigured?.map((id): Option => ({ id, out: 'not_configured' })) ?? []
  const inputs = inputsOf(weighing, { options: [...options, ...missing], hard, soft })
  const arrangement = arrange(inputs)
  return { plan: toPlan(weighing, { inputs, arrangement }), arrangement, obstacles }
}

/** Whoever would keep the call waiting for too long comes after those who would not, where there are any. */
function relegate(options: Option[], { choice, standing: { isLate } }: Weighing): void {
  if (!isLate) return
  const late = choice.candidates.map(({ target }, at) => options[at]?.out === undefined && isLate(target))
  if (!options.some(({ out }, at) => out === undefined && !late[at])) return
  for (const [at, option] of options.entries()) if (late[at]) options[at] = { ...option, would_wait: true }
}

const cappedBy = (caps: object): Pick<Wants, 'cost' | 'latency' | 'quality'> => ({
  cost: 'max_cost_nanos' in caps,
  latency: 'max_latency_ms' in caps,
  quality: 'min_quality' in caps,
})

type About = { wants: Wants; obstacle: Obstacle | undefined }

function ofCandidate(
  candidate: Candidate,
  { shape, standing, figuresOf, nodeOf, marked, unpaid }: Weighing,
  { wants, obstacle }: About,
): Option {
  const { target } = candidate
  return optionOf(candidate, {
    shape,
    figures: figuresOf(target),
    judged: marked?.[target.id],
    wants,
    node: wants.load ? nodeOf?.(target) : undefined,
    isProbe: standing.states?.get(target.id)?.kind === 'probe',
    out: obstacle?.reason ?? unpaid(target),
  })
}

type Measured = Pick<PlanInputs, 'options'> & {
  hard: PlanInputs['hard'] | undefined
  soft: PlanInputs['soft'] | undefined
}

function inputsOf({ choice, shape, random, turn }: Weighing, { options, hard, soft }: Measured): PlanInputs {
  const { strategy, most, epsilon } = choice
  return {
    strategy,
    options,
    most,
    most_in_all: MAX_TARGETS,
    task_type: shape.taskType,
    complexity: shape.complexity,
    ...(shape.stream && { stream: true }),
    ...(hard && { hard }),
    ...(soft && { soft }),
    ...(drawsLots(strategy) && { random }),
    // Without Redis nobody counts: then it is a lot.
    ...(strategy === 'round_robin' && { turn: turn ?? Math.floor(random * 2 ** 20) }),
    ...(strategy === 'bandit' && epsilon !== undefined && { epsilon }),
  }
}

const drawing: ReadonlySet<string> = new Set(['priority', 'weighted', 'random', 'bandit'])
const drawsLots = (strategy: string): boolean => drawing.has(strategy)

/** The built-in ones are of whole answers: a stream that has begun shows that it lives. */
const rowTimeout = ({ row, isBuiltIn }: Candidate, { stream }: Shape): number | undefined =>
  isBuiltIn && stream ? undefined : row.timeoutMs

type Arranged = { inputs: PlanInputs; arrangement: Arrangement }

function toPlan({ choice, shape }: Weighing, { inputs, arrangement }: Arranged): Plan {
  const options = new Map(inputs.options.map((option) => [option.id, option]))
  const candidates = new Map(choice.candidates.map((candidate) => [candidate.target.id, candidate]))
  const targets = arrangement.tried.flatMap(({ id, reason, score, relaxed }): PlannedTarget[] => {
    const [candidate, option] = [candidates.get(id), options.get(id)]
    if (!candidate) return []
    return [
      {
        target: candidate.target,
        reason,
        timeoutMs: choice.timeoutMs ?? rowTimeout(candidate, shape),
        score,
        relaxed,
        quality: option?.quality,
        costNanoUsd: option?.cost_nanos,
        latencyMs: option?.latency_ms,
      },
    ]
  })
  const { strategy } = choice
  const { excluded, propensity, relaxed } = arrangement
  return { strategy, targets, excluded, propensity, relaxed, inputs, experiment: choice.experiment }
}
