import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { TaskType } from '../../core/tasks.ts'
import { type EnsembleSettings, noteWins } from '../ensembles/service.ts'
import { bookPanel, type Ending, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import {
  failureOf,
  giveBackUnplanned,
  isCallersFault,
  nowhere,
  obstacleOf,
  openDecision,
  refreshNodes,
  refuseUnheld,
  releaseUnused,
  requireSpelling,
  requireTargets,
  type Target,
  taskOf,
} from '../routing/service.ts'
import { refuseUnbounded } from './ask.ts'
import { everybody, panelSettings } from './panel-ask.ts'
import { covered, panelBound } from './panel-hold.ts'
import { type Panel, panelFor } from './panel-members.ts'
import { type PanelPlan, type PanelResult, runPanel } from './panel-run.ts'
import { decidedOf, givenIn, partsOf, totalOf, withoutChoice } from './panel-told.ts'
import type { Asked } from './request.ts'

/** What the ledger calls the call itself, beside those that it made. */
const ENSEMBLE = { provider: { name: 'helix' }, model: 'ensemble', price: undefined }

export type Prepared = Omit<PanelPlan, 'signal' | 'onParts'>

/** A panel that has answered, ready to be told, and to be booked once that is done. */
export type Answered = {
  plan: Prepared
  result: PanelResult
  total: ReturnType<typeof totalOf>
  given: NonNullable<ReturnType<typeof givenIn>>
}

/** Everything that can still refuse the call before a model hears of it. Throws `AppError`. */
export function preparePanel(ctx: Ctx, asked: Asked): Prepared {
  const taskType = taskTypeOf(asked)
  openDecision(ctx, { model: asked.wanted.model, isStream: asked.stream, taskType })
  try {
    refuseChoices(asked)
    requireSpelling(asked.wanted)
    refreshNodes(ctx)
    const { policy } = ctx.admission
    const settings = panelSettings(policy, asked)
    refuseUnreachable(asked, settings)
    const panel = panelFor(ctx, policy, { asked, settings })
    if (panel.missing) throw unknownModel(panel.missing)
    // With nobody at all it says why.
    const targets = panel.candidates.length > 0 ? everybody(panel) : requireTargets(ctx, asked.wanted)
    refuseUnheld(ctx.admission, { targets, runId: asked.runId })
    refuseUnbounded(ctx.admission, asked, targets)
    const { members, excluded, obstacles } = present(ctx, panel)
    const wanted = members.slice(0, settings.most)
    const chosen = covered(wanted, ctx.admission.heldNanoUsd, (some) => panelBound(some, { asked, settings, panel }))
    notePlan(ctx, { strategy: `ensemble:${settings.strategy}`, members: chosen, excluded })
    const asking = everybody({ candidates: chosen, judge: panel.judge })
    giveBackUnplanned(ctx, { targets: asking.map((target) => ({ target, reason: 'member' })) })
    if (chosen.length === 0 && wanted.length > 0) throw unpaid()
    if (chosen.length === 0) throw nowhere(asked.wanted.model, obstacles, ctx.now())
    if (ctx.signal.aborted) throw new AppError('invalid_request', 'The caller left before a model was asked.')
    return { asked, settings, members: chosen, judge: panel.judge, taskType }
  } catch (error) {
    releaseUnused(ctx)
    throw error
  }
}

/** Runs it, notes what came of it, and says why if nothing did: then it is booked already. Throws `AppError`. */
export async function answerOf(ctx: Ctx, plan: PanelPlan): Promise<Answered> {
  const result = await runPanel(ctx, plan).catch((error: unknown) => {
    releaseUnused(ctx)
    throw error
  })
  const isEnough = result.voters.length >= plan.settings.least || plan.settings.fallsBack
  const given = isEnough ? givenIn(result) : undefined
  noteDecision(ctx, plan, { result, given })
  const total = totalOf(result)
  if (given) {
    ctx.defer(countWins(ctx, plan, result))
    return { plan, result, total, given }
  }
  const error = noAnswer(result)
  const status = plan.signal.aborted ? 'aborted' : 'error'
  const errorCode = status === 'error' ? errorCodeOf(error) : undefined
  ctx.defer(bookPanel(ctx, endingOf(plan, total, { status, errorCode }), partsOf(result)))
  throw error
}

type Ended = Pick<Ending, 'status' | 'errorCode' | 'bytesOut' | 'firstContentMs'>

/** Books the call with all that it made, once its caller has the answer. */
export const bookAnswered = (ctx: Ctx, { plan, result, total }: Answered, ended: Ended): Promise<void> =>
  bookPanel(ctx, endingOf(plan, total, ended), partsOf(result))

const endingOf = ({ asked }: Prepared, { attempts }: { attempts: number }, ended: Ended): Ending => ({
  operation: asked.operation,
  target: ENSEMBLE,
  usage: NO_USAGE,
  estimated: false,
  attempts,
  stream: asked.stream,
  ...ended,
})

const taskTypeOf = ({ wanted, body }: Asked): TaskType => wanted.taskType ?? taskOf(body.messages)

function refuseChoices({ body }: Asked): void {
  if ((body.n ?? 1) === 1) return
  throw new AppError('invalid_request', 'An ensemble gives one answer: n must be 1.', { param: 'n' })
}

/** Of answers that the call itself wants; what its organisation has said gives way to what the call says. */
function refuseUnreachable({ ensemble }: Asked, { most }: EnsembleSettings): void {
  if ((ensemble?.min_providers ?? 0) <= most) return
  const message = `ensemble_config.min_providers: must not be above the ${most} models that are asked.`
  throw new AppError('invalid_request', message, { param: 'ensemble_config.min_providers' })
}

const unpaid = (): AppError =>
  new AppError('insufficient_quota', 'The budget has no room for any of the models that are left.')

function unknownModel({ name, param, forbidden }: NonNullable<Panel['missing']>): AppError {
  if (forbidden) return new AppError('permission_denied', `This key may not use the model '${name}'.`, { param })
  return new AppError('model_not_found', `No configured provider serves the model '${name}'.`, { param })
}

/** Those who may be asked now. A judge who may not is asked all the same: without it there is no judgement. */
function present(ctx: Ctx, { candidates }: Panel) {
  const { openBreakers, usedUp, states, policy } = ctx.admission
  const standing = { openBreakers, usedUp, states, marks: policy.marks, nowMs: ctx.now() }
  const seen = candidates.map((target) => ({ target, obstacle: obstacleOf(target, standing) }))
  const obstacles = seen.flatMap(({ obstacle }) => obstacle ?? [])
  const excluded = seen.flatMap(({ target: { id }, obstacle }) => (obstacle ? [{ id, reason: obstacle.reason }] : []))
  return { members: seen.flatMap(({ target, obstacle }) => (obstacle ? [] : [target])), excluded, obstacles }
}

function notePlan(
  { arrival }: Ctx,
  {
    strategy,
    members,
    excluded,
  }: { strategy: string; members: readonly Target[]; excluded: readonly { id: string; reason: string }[] },
): void {
  if (!arrival?.decision) return
  arrival.decision.plan = { strategy, targets: members.map((target) => ({ target, reason: 'member' })), excluded }
}

type Outcome = { result: PanelResult; given: Answered['given'] | undefined }

function noteDecision({ arrival }: Ctx, plan: PanelPlan, { result, given }: Outcome): void {
  if (!arrival?.decision) return
  const calls = [...result.members.flatMap((member) => member.calls), ...result.helpers]
  arrival.decision.attempts.push(...calls.flatMap(({ decision }) => decision.attempts))
  const told = decidedOf(plan, result)
  arrival.decision.ensemble = given
    ? { told, chosen: given.call.target.id }
    : { told: withoutChoice(told), chosen: null }
}

/** Too few have answered. Where all of them found fault with the call, its caller is told that. */
function noAnswer({ members, voters }: PanelResult): AppError {
  const calls = members.flatMap((member) => member.calls)
  const failures = calls.flatMap((call) => call.failures)
  const last = failures.at(-1)
  if (voters.length === 0 && last && failures.every(({ error }) => isCallersFault(error))) return failureOf([last])
  const attempted = calls.map(({ target, outcome }) => ({ target: target.id, reason: outcome }))
  const message = 'Of the models that were to answer together too few did.'
  return new AppError('ensemble_failed', message, { details: { attempted, answers: voters.length } })
}

/** Counted where there was something to compare. */
async function countWins(ctx: Ctx, { taskType }: PanelPlan, { voters, choice }: PanelResult): Promise<void> {
  if (!choice || voters.length < 2) return
  const targets = voters.map(({ answered }) => answered?.target.id ?? '')
  const won = choice.agreeing.map((at) => targets[at] ?? '')
  await noteWins(ctx, { orgId: ctx.admission.policy.orgId, taskType, targets, won })
}
