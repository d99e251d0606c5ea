import { UpstreamError } from '../../core/models.ts'
import { giveBackProbe } from '../admission/service.ts'
import { setAside } from '../providers/service.ts'
import { noteBusy, noteFailure, noteSuccess } from './breaker.ts'
import { reasonOf } from './failure.ts'
import { noteUnreachable } from './listing.ts'
import { pauseUntil } from './patience.ts'
import type { Plan, PlannedTarget } from './plan.ts'
import { afterFailure, isOperatorsFault, type Next } from './retry.ts'
import {
  barredFor,
  beginRun,
  type FailedAttempt,
  isLast,
  isRepeated,
  nextFrom,
  type PassedOver,
  type Run,
  repeatAt,
  takeProbe,
  type World,
} from './run.ts'
import { countCall, seenOf } from './seen.ts'
import { breakerOf, type Target } from './target.ts'

export type { FailedAttempt, PassedOver } from './run.ts'

/** What came of a plan: an answer, or every reason why not. */
export type Dispatched<Answer> =
  | { ok: true; answer: Answer; target: Target; attempts: number; failures: readonly FailedAttempt[] }
  | { ok: false; failures: readonly FailedAttempt[]; passedOver: readonly PassedOver[] }

export type DispatchCall<Answer> = {
  /** `isLast`: nothing else is left to be asked, so that it is worth waiting for. */
  attempt: (target: Target, planned: PlannedTarget & { isLast: boolean }) => Promise<Answer>
  /** The call costs nothing twice. */
  repeatable: boolean
  /** Asked where a target did not answer in time and another could: whether both may be paid. Never unless it is there. */
  mayPayTwice?: ((unanswered: Target) => Promise<boolean>) | undefined
  /** What the caller gives the call, all attempts together; undefined leaves it to the targets. */
  timeoutMs?: number | undefined
}

/**
 * Tries the plan's targets in order. Retries and fallback live here and nowhere else; `attempt` tries once and must not
 * let the caller see anything before it succeeds. Never throws `UpstreamError`.
 */
export async function dispatch<Answer>(
  world: World,
  plan: Plan,
  call: DispatchCall<Answer>,
): Promise<Dispatched<Answer>> {
  const run = beginRun(world, plan, call.timeoutMs)
  const { failures, passedOver } = run
  try {
    let at = nextFrom(world, run, 0)
    for (let planned = plannedAt(run, at); planned; planned = plannedAt(run, at)) {
      const tried = await tryOnce(world, run, { planned, call })
      if ('answer' in tried) {
        return { ok: true, answer: tried.answer, target: planned.target, attempts: failures.length + 1, failures }
      }
      at = await stepOn(world, run, { at: at ?? 0, target: planned.target, ...tried })
    }
    return { ok: false, failures, passedOver }
  } finally {
    for (const { target } of plan.targets) {
      const probe = run.probes.get(target.id)
      if (probe) giveBackProbe(world, probe)
    }
  }
}

const plannedAt = ({ targets }: Pick<Plan, 'targets'>, at: number | undefined): PlannedTarget | undefined =>
  at === undefined ? undefined : targets[at]

type Failed = {
  next: Next
  /** The credential was put aside; and whether there is another. */
  aside: { hasAnother: boolean } | undefined
  wasProbe: boolean
}

async function tryOnce<Answer>(
  world: World,
  run: Run,
  { planned, call }: { planned: PlannedTarget; call: DispatchCall<Answer> },
): Promise<{ answer: Answer } | Failed> {
  const { target } = planned
  const { failures } = run
  if (!failures.some((failed) => failed.target.id === target.id)) {
    countCall(seenOf(world.memory, breakerOf(target), world.now()))
  }
  const ended = beginAttempt(world, target)
  try {
    const answer = await call.attempt(target, { ...planned, isLast: isLast(world, run, planned) })
    ended('ok')
    noteSuccess(world, breakerOf(target), takeProbe(run, target))
    return { answer }
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    failures.push({ target, error })
    ended(reasonOf(error))
    report(world, target, error)
    const next = afterFailure(error, {
      number: failures.length,
      repeatable: call.repeatable,
      mayPayTwice: await mayPayTwice(run, call, { target, error }),
      hurried: call.timeoutMs !== undefined || planned.timeoutMs !== undefined,
      random: world.random(),
    })
    const aside = setAside(world, target.provider, error)
    const wasProbe = run.probes.has(target.id)
    if (!aside?.hasAnother) learnOf(world, run, { target, error, next, isAside: aside !== undefined })
    if (next.counts) world.arrival?.decision?.failed.push(breakerOf(target))
    if (error.fault === 'connect' && target.provider.kind === 'node') noteUnreachable(world, target.provider)
    return { next, aside, wasProbe }
  }
}

type Lesson = FailedAttempt & { next: Next; isAside: boolean }

/**
 * One call counts once: a single caller's retries must not close a model for everybody. A credential that is put aside
 * says nothing about the target.
 */
function learnOf(world: World, run: Run, { target, error, next, isAside }: Lesson): void {
  const id = breakerOf(target)
  const probe = takeProbe(run, target)
  if (!isAside && next.cools) noteBusy(world, id, { retryAfterMs: error.retryAfterMs, probe })
  else if (!isAside && next.counts && !isRepeated(run.failures, target)) noteFailure(world, id, probe)
  else if (probe) giveBackProbe(world, probe)
}

/** Which target of the plan is asked next: undefined when there is an end to it. */
async function stepOn(
  world: World,
  run: Run,
  { at, target, next, aside, wasProbe }: Failed & { at: number; target: Target },
): Promise<number | undefined> {
  const { failures, mostAttempts, deadlineMs } = run
  const isOver = () => world.signal.aborted || world.now() >= deadlineMs
  if (failures.length >= mostAttempts || isOver()) return undefined
  // The same target at once: it has another credential now.
  if (aside?.hasAnother) return at
  const following = next.otherTarget ? nextFrom(world, run, at + 1) : undefined
  if (following !== undefined) return following
  const untilMs = wasProbe ? undefined : repeatAt(world, run, { target, next })
  if (untilMs === undefined) return undefined
  await pauseUntil(world, untilMs)
  return isOver() || barredFor(world, target) ? undefined : at
}

async function mayPayTwice(
  { targets }: Run,
  call: DispatchCall<unknown>,
  { target, error }: FailedAttempt,
): Promise<boolean> {
  if (error.fault !== 'timeout' || call.repeatable || !call.mayPayTwice) return false
  const isLast = targets.at(-1)?.target.id === target.id
  return !isLast && call.mayPayTwice(target)
}

/** For the record of the decision: to be told how the attempt ended. */
function beginAttempt({ arrival, now }: World, { id }: Target): (outcome: string) => void {
  const attempts = arrival?.decision?.attempts
  if (!attempts) return () => undefined
  const startedMs = now()
  return (outcome) => {
    attempts.push({ target: id, outcome, duration_ms: Math.max(0, now() - startedMs) })
  }
}

function report({ log, requestId }: World, target: Target, error: UpstreamError): void {
  const facts = { request_id: requestId, target: target.id, fault: error.fault, status: error.status }
  if (error.fault === 'aborted') log.debug('attempt_aborted', facts)
  else if (error.fault === 'overloaded') log.debug('attempt_turned_away', facts)
  else if (isOperatorsFault(error)) log.error('provider_refused_credential', facts)
  else log.warn('attempt_failed', { ...facts, message: error.message })
}
