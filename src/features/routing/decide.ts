import type { Ctx } from '../../core/context.ts'
import type { TaskType } from '../../core/tasks.ts'
import { pricesHash } from '../catalog/service.ts'
import type { RoutedCall } from './asking.ts'
import type { Weighed } from './choice.ts'
import { recallFigures, rememberFigures } from './figures.ts'
import { plan } from './named.ts'
import { nodeStanding, wouldWait } from './node-choice.ts'
import { createPurse } from './paying.ts'
import type { Plan } from './plan.ts'
import { requireChoice } from './required.ts'
import type { Standing } from './standing.ts'
import type { Target } from './target.ts'
import { unplanned } from './unplanned.ts'
import { type Weighing, type Weighted, weigh } from './weigh.ts'

type Opening = { model: string; isStream: boolean; taskType: TaskType }

/**
 * Begins the note of why a call goes where it goes: before anything can refuse it, so that every answer of a model
 * names its decision.
 */
export function openDecision({ arrival, newId }: Pick<Ctx, 'arrival' | 'newId'>, opening: Opening): void {
  if (!arrival) return
  arrival.decision = {
    id: newId('dec'),
    askedModel: opening.model,
    isStream: opening.isStream,
    taskType: opening.taskType,
    pricesVersion: pricesHash,
    attempts: [],
    failed: [],
  }
}

type World = Pick<
  Ctx,
  'providers' | 'memory' | 'now' | 'log' | 'gateOf' | 'defer' | 'random' | 'admission' | 'arrival' | 'requestId'
>

/**
 * The plan of an admitted call, noted before it can turn out that it leads nowhere. Throws 400, 403, 404, 429 and 503
 * `AppError`s.
 */
export async function decide(ctx: World, call: RoutedCall): Promise<Plan> {
  const { arrival } = ctx
  const choice = requireChoice(ctx, call.wanted)
  const standing = standingOf(ctx)
  const note = (made: Plan): void => {
    if (arrival?.decision) arrival.decision.plan = made
  }
  if (choice.kind === 'plain') {
    const { targets, asked } = choice
    call.refuse?.(targets)
    return plan({ ...standing, targets, asked, model: call.wanted.model }, note)
  }
  const weighing = weighingOf(ctx, { call, choice, standing })
  const made = await affordable(weighing, call)
  note(made.plan)
  if (made.plan.targets.length === 0) throw unplanned(call.wanted.model, weighing, made)
  return made.plan
}

function standingOf(ctx: World): Standing {
  const { openBreakers, usedUp, states, policy } = ctx.admission
  const isLate = (target: Target): boolean => wouldWait(ctx, target)
  return { openBreakers, usedUp, states, marks: policy.marks, isLate, nowMs: ctx.now() }
}

type About = { call: RoutedCall; choice: Weighed; standing: Standing }

function weighingOf(ctx: World, { call, choice, standing }: About): Weighing {
  const { figures, turn } = ctx.admission
  rememberFigures(
    ctx,
    choice.candidates.map(({ target }) => target),
    figures,
  )
  return {
    choice,
    shape: call.shape(),
    standing,
    nodeOf: (target) => nodeStanding(ctx, target),
    figuresOf: (target) => (figures ? figures.get(target.id) : recallFigures(ctx, target)),
    marked: ctx.admission.policy.marked,
    unpaid: createPurse(ctx.admission.policy, call, ctx.admission),
    random: ctx.random(),
    turn,
  }
}

/**
 * The plan over what the call can pay for. Money was held before anybody knew how the targets stand: where all that it
 * covers are out, more is held for the next best.
 */
async function affordable(weighing: Weighing, { extend }: RoutedCall): Promise<Weighted> {
  const made = weigh(weighing)
  const isShort = made.arrangement.excluded.some(({ reason }) => reason === 'hold_too_small')
  if (made.plan.targets.length > 0 || !isShort || !extend) return made
  const { unpaid } = weighing
  const covered = (isCovered: (target: Target) => boolean): Weighted =>
    weigh({
      ...weighing,
      unpaid: (target) => {
        const reason = unpaid(target)
        return reason === 'hold_too_small' && isCovered(target) ? undefined : reason
      },
    })
  const next = new Set(covered(() => true).plan.targets.map(({ target }) => target))
  return next.size > 0 && (await extend([...next])) ? covered((target) => next.has(target)) : made
}
