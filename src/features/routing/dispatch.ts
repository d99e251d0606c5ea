import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { noteFailure, noteSuccess } from './breaker.ts'
import { noteUnreachable } from './listing.ts'
import type { Plan } from './plan.ts'
import { afterFailure, isOperatorsFault } from './retry.ts'
import type { Target } from './target.ts'

/** A call with fewer targets than that asks its last one again. */
const MAX_ATTEMPTS = 3

export type FailedAttempt = { target: Target; error: UpstreamError }

/** What came of a plan: an answer, or every reason why not. */
export type Dispatched<Answer> =
  | { ok: true; answer: Answer; target: Target; attempts: number; failures: readonly FailedAttempt[] }
  | { ok: false; failures: readonly FailedAttempt[] }

type World = Pick<Ctx, 'memory' | 'redis' | 'log' | 'now' | 'random' | 'defer' | 'signal' | 'requestId' | 'startedMs'>

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
  const mostAttempts = Math.max(MAX_ATTEMPTS, targets.length)
  const deadlineMs = world.startedMs + (timeoutMs ?? Number.POSITIVE_INFINITY)
  const hurried = timeoutMs !== undefined
  let at = 0
  while (failures.length < mostAttempts) {
    const target = targets[at]?.target
    if (!target) break
    try {
      const answer = await attempt(target)
      noteSuccess(world, target.id)
      return { ok: true, answer, target, attempts: failures.length + 1, failures }
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      failures.push({ target, error })
      const next = afterFailure(error, { number: failures.length, repeatable, hurried, random: world.random() })
      report(world, target, error)
      // One call counts once: a single caller's retries must not close a model for everybody.
      if (next.counts && !isRepeated(failures, target)) noteFailure(world, target.id)
      if (error.fault === 'connect' && target.provider.kind === 'node') noteUnreachable(world, target.provider)
      if (next.otherTarget && at + 1 < targets.length) at += 1
      else if (next.sameTargetAfterMs === undefined || failures.length >= mostAttempts) break
      else if (world.now() + next.sameTargetAfterMs >= deadlineMs) break
      else await pause(next.sameTargetAfterMs, world.signal)
      if (world.signal.aborted || world.now() >= deadlineMs) break
    }
  }
  return { ok: false, failures }
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
