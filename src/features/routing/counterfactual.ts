import type { Ctx } from '../../core/context.ts'
import type { Figures, JudgedTargets, RoutingPolicy } from '../../core/routing.ts'
import { type TaskType, taskTypes } from '../../core/tasks.ts'
import { type Choice, choicesFor } from './choice.ts'
import { oddsOf } from './odds.ts'
import { arrange, type Option, type PlanCaps, type PlanInputs } from './plan.ts'
import type { LoggedRow } from './replay-rows.ts'
import type { Standing } from './standing.ts'
import type { Target, Wanted } from './target.ts'
import { weigh } from './weigh.ts'

/** A decision that was ours, with what it came of and how likely it was. */
export type OwnChoice = { row: LoggedRow; inputs: PlanInputs; propensity: number }

/** What another policy would have made of a decision. */
export type Counterfactual = {
  /** How much more likely it was to begin with the same target. */
  weight: number
  /** How likely it was to begin with one that never had a chance. */
  unsupported: number
  /** What is expected of the answer, by the target that gave it; undefined where nobody knows. */
  quality: number | undefined
}

export type Judge = (choice: OwnChoice) => Counterfactual

type World = Pick<Ctx, 'providers' | 'memory' | 'now' | 'admission'>

/** Reasons of the policy that was in force, which say nothing of another one. */
const OF_POLICY: ReadonlySet<string> = new Set(['over_policy_cost', 'hold_too_small', 'cost_unknown'])
const tasks: ReadonlySet<string> = new Set(taskTypes)

/**
 * Asks of decisions what they would have been under a policy. Targets stand as they stood; figures are those that the
 * decision was made with, and where its strategy looked at none, those of today (`figuresOf`).
 */
export function createJudge(
  world: World,
  routing: RoutingPolicy,
  figuresOf: (target: Target) => Figures | undefined,
): Judge {
  const known = new Map<string, Choice | undefined>()
  const choiceOf = ({ row, inputs }: OwnChoice): Choice | undefined => {
    const { asked_model: model, key_id: keyId, user_id, request_id: requestId } = row
    const key = JSON.stringify([model, inputs.hard, routing.experiment && [keyId, user_id, requestId]])
    if (known.has(key)) return known.get(key)
    const chooser = { allowedModels: undefined, mode: 'live', routing, keyId, userId: user_id ?? undefined } as const
    const [choice] = choicesFor(world, chooser, { wanted: wantedOf(model, inputs), requestId })
    known.set(key, choice)
    return choice
  }
  return (own) => {
    const choice = choiceOf(own)
    const first = own.row.candidates[0]?.target
    const made =
      choice?.kind === 'weighed'
        ? inputsFor(own, { choice, figuresOf, marked: world.admission.policy.marked, nowMs: world.now() })
        : undefined
    const odds = made ? oddsOf(made) : plainOdds(choice, own)
    const had = oddsOf(own.inputs)
    const supported = [...odds].reduce((sum, [id, share]) => sum + ((had.get(id) ?? 0) > 0 ? share : 0), 0)
    return {
      weight: (odds.get(first ?? '') ?? 0) / own.propensity,
      unsupported: Math.max(0, 1 - supported),
      quality: [...own.inputs.options, ...(made?.options ?? [])].find(
        ({ id, quality }) => id === own.row.chosen && quality !== undefined,
      )?.quality,
    }
  }
}

const wantedOf = (model: string, { hard }: PlanInputs): Wanted => ({
  model,
  kind: 'chat',
  ...(hard && { routing: { caps: capsOf(hard) } }),
})

const capsOf = ({ max_cost_nanos: cost, max_latency_ms: latency, min_quality: quality }: PlanCaps) => ({
  ...(cost !== undefined && { maxCostNanoUsd: cost }),
  ...(latency !== undefined && { maxLatencyMs: latency }),
  ...(quality !== undefined && { minQuality: quality }),
})

/** Where the order is the providers' own, the first that could be tried. */
function plainOdds(choice: Choice | undefined, { inputs }: OwnChoice): ReadonlyMap<string, number> {
  if (choice?.kind !== 'plain') return new Map()
  const out = new Set(inputs.options.flatMap(({ id, out: reason }) => (reason === undefined ? [] : [id])))
  const first = choice.targets.find(({ id }) => !out.has(id))
  return new Map(first ? [[first.id, 1]] : [])
}

type About = {
  choice: Extract<Choice, { kind: 'weighed' }>
  figuresOf: (target: Target) => Figures | undefined
  marked: JudgedTargets | undefined
  nowMs: number
}

function inputsFor({ row, inputs }: OwnChoice, { choice, figuresOf, marked, nowMs }: About): PlanInputs | undefined {
  const standing: Standing = { openBreakers: new Map(), nowMs }
  const { task_type: task = '', complexity = 'medium', stream = false } = inputs
  const shape = {
    stream,
    inputTokens: row.prompt_tokens ?? 0,
    maxOutputTokens: undefined,
    choices: 1,
    complexity,
    taskType: isTask(task) ? task : ('text_generation' as const),
    needs: [],
  }
  const { plan } = weigh({ choice, shape, standing, figuresOf, marked, unpaid: () => undefined, random: 0, turn: 0 })
  const logged = new Map(inputs.options.map((option) => [option.id, option]))
  return plan.inputs && { ...plan.inputs, options: plan.inputs.options.map((one) => asItWas(one, logged.get(one.id))) }
}

const isTask = (text: string): text is TaskType => tasks.has(text)

/** An option of the other policy's, as far as the decision knew it. */
function asItWas(option: Option, logged: Option | undefined): Option {
  if (!logged) return option
  const { out, cost_nanos, latency_ms, quality, load, health, loaded, error_rate } = logged
  if (out !== undefined && !OF_POLICY.has(out)) return { ...option, out }
  return {
    ...option,
    ...(option.cost_nanos !== undefined && cost_nanos !== undefined && { cost_nanos }),
    ...(option.latency_ms !== undefined && latency_ms !== undefined && { latency_ms }),
    ...(option.quality !== undefined && quality !== undefined && { quality }),
    ...(option.load !== undefined && load !== undefined && { load }),
    ...(option.health !== undefined && health !== undefined && { health }),
    ...(option.health !== undefined && loaded && { loaded }),
    ...(option.error_rate !== undefined && error_rate !== undefined && { error_rate }),
  }
}

/** Whether what a decision came of gives the same decision again. */
export function isReproduced({ candidates, excluded, propensity }: LoggedRow, inputs: PlanInputs): boolean {
  const made = arrange(inputs)
  const ordered = made.tried.map(({ id, reason, score }) => [id, reason, score])
  const stored = candidates.map(({ target, reason, score }) => [target, reason, score])
  const left = made.excluded.map(({ id, reason }) => [id, reason])
  return (
    JSON.stringify(ordered) === JSON.stringify(stored) &&
    JSON.stringify(left) === JSON.stringify(excluded.map(({ target, reason }) => [target, reason])) &&
    (propensity ?? 0) === made.propensity
  )
}
