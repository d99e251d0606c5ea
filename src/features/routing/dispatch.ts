import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { setAside } from '../providers/service.ts'
import { noteFailure, noteSuccess } from './breaker.ts'
import { reasonOf } from './failure.ts'
import { noteUnreachable } from './listing.ts'
import type { Plan } from './plan.ts'
import { afterFailure, isOperatorsFault } from './retry.ts'
import { breakerOf, type Target } from './target.ts'

/** A call with fewer targets than that asks its last one again. */
const MAX_ATTEMPTS = 3

export type FailedAttempt = { target: Target; error: UpstreamError }

/** What came of a plan: an answer, or every reason why not. */
export type Dispatched<Answer> =
  | { ok: true; answer: Answer; target: Target; attempts: number; failures: readonly FailedAttempt[] }
  | { ok: false; failures: readonly FailedAttempt[] }

type World = Pick<
  Ctx,
  | 'memory'
  | 'db'
  | 'redis'
  | 'log'
  | 'now'
  | 'newId'
  | 'random'
  | 'defer'
  | 'admission'
  | 'signal'
  | 'requestId'
  | 'startedMs'
  | 'arrival'
>

export type DispatchCall<Answer> = {
  attempt: (target: Target) => Promise<Answer>
  /** The call costs nothing twice. */
  repeatable: boolean
  /** What the caller gives the call, all attempts together; undefined leaves it to the targets. */
  timeoutMs?: number | undefined
}

/**
 * Tries the plan's targets in order. Retries and fallback live here and nowhere else; `attempt` tries once and must not
 * let the caller see anything before it succeeds. Never throws `UpstreamError`.
 */
export async function dispatch<Answer>(
  world: World,
  { targets }: Plan,
  { attempt, repeatable, timeoutMs }: DispatchCall<Answer>,
): Promise<Dispatched<Answer>> {
  const failures: FailedAttempt[] = []
  const mostAttempts = Math.max(MAX_ATTEMPTS, targets.length) + spareCredentials(targets)
  const deadlineMs = world.startedMs + (timeoutMs ?? Number.POSITIVE_INFINITY)
  const hurried = timeoutMs !== undefined
  let at = 0
  while (failures.length < mostAttempts) {
    const target = targets[at]?.target
    if (!target) break
    const ended = beginAttempt(world, target)
    try {
      const answer = await attempt(target)
      ended('ok')
      noteSuccess(world, breakerOf(target))
      return { ok: true, answer, target, attempts: failures.length + 1, failures }
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      failures.push({ target, error })
      ended(reasonOf(error))
      const next = afterFailure(error, { number: failures.length, repeatable, hurried, random: world.random() })
      report(world, target, error)
      const aside = setAside(world, target.provider, error)
      // One call counts once: a single caller's retries must not close a model for everybody. A credential that is put
      // aside says nothing about the target.
      if (next.counts && !aside && !isRepeated(failures, target)) noteFailure(world, breakerOf(target))
      if (next.counts) world.arrival?.decision?.failed.push(breakerOf(target))
      if (error.fault === 'connect' && target.provider.kind === 'node') noteUnreachable(world, target.provider)
      // The same target at once: it has another credential now.
      if (aside?.hasAnother) {
        if (world.signal.aborted || world.now() >= deadlineMs) break
        continue
      }
      if (next.otherTarget && at + 1 < targets.length) at += 1
      else if (next.sameTargetAfterMs === undefined || failures.length >= mostAttempts) break
      else if (isAskedOften(failures, target)) break
      else if (world.now() + next.sameTargetAfterMs >= deadlineMs) break
      else await pause(next.sameTargetAfterMs, world.signal)
      if (world.signal.aborted || world.now() >= deadlineMs) break
    }
  }
  return { ok: false, failures }
}

/** Attempts that a call may make beside the usual ones, each with a credential that none before it had. */
const spareCredentials = (targets: Plan['targets']): number =>
  targets.reduce((spare, { target }) => spare + Math.max(0, (target.provider.account?.usable() ?? 1) - 1), 0)

/** An account may be given fewer retries than a vendor of the installation gets. */
function isAskedOften(failures: readonly FailedAttempt[], { id, provider }: Target): boolean {
  const retries = provider.account?.maxRetries ?? MAX_ATTEMPTS
  return failures.filter(({ target }) => target.id === id).length > retries
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

const isRepeated = (failures: readonly FailedAttempt[], { id }: Target): boolean =>
  failures.filter(({ target }) => target.id === id).length > 1

function report({ log, requestId }: World, target: Target, error: UpstreamError): void {
  const facts = { request_id: requestId, target: target.id, fault: error.fault, status: error.status }
  if (error.fault === 'aborted') log.debug('attempt_aborted', facts)
  else if (isOperatorsFault(error)) log.error('provider_refused_credential', facts)
  else log.warn('attempt_failed', { ...facts, message: error.message })
}

/** Ends early when the caller leaves. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  // A signal that has fired fires no more.
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
