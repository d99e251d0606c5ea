import type { Ctx } from '../../core/context.ts'
import type { Timeouts } from '../../core/models.ts'
import type { Target } from './target.ts'

/**
 * When a call began, and the most time its caller gives it, all attempts together; `attemptMs` is what a routing policy
 * or the caller gives each attempt.
 */
export type Patience = { startedMs: number; timeoutMs?: number | undefined; attemptMs?: number | undefined }

/** What is left of a target's timeouts for an attempt that begins now: no retry makes a call last longer than one. */
export function timeoutsFor({ provider }: Target, patience: Patience, nowMs: number): Timeouts {
  const { timeouts } = provider
  const { startedMs, timeoutMs = timeouts.totalMs, attemptMs = timeouts.totalMs } = patience
  const leftMs = Math.max(1, Math.min(startedMs + Math.min(timeouts.totalMs, timeoutMs) - nowMs, attemptMs))
  return {
    connectMs: Math.min(timeouts.connectMs, leftMs),
    firstByteMs: Math.min(timeouts.firstByteMs, leftMs),
    idleMs: Math.min(timeouts.idleMs, leftMs),
    totalMs: leftMs,
  }
}

/** The longest that a call over these targets may take. */
export function longestMs(targets: readonly Target[], timeoutMs: number | undefined): number {
  const longest = Math.max(0, ...targets.map(({ provider }) => provider.timeouts.totalMs))
  return Math.min(longest, timeoutMs ?? longest)
}

/** Ends early when the caller leaves. A timer may be a moment early: what must not be asked before then is not. */
export async function pauseUntil({ now, signal }: Pick<Ctx, 'now' | 'signal'>, untilMs: number): Promise<void> {
  for (let tries = 0; tries < MOST_TIMERS && !signal.aborted; tries += 1) {
    const leftMs = untilMs - now()
    if (leftMs <= 0) return
    await pause(leftMs, signal)
  }
}

const MOST_TIMERS = 3

function pause(ms: number, signal: AbortSignal): Promise<void> {
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
