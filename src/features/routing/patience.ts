import type { Timeouts } from '../../core/models.ts'
import type { Target } from './target.ts'

/** When a call began, and the most time its caller gives it, all attempts together. */
export type Patience = { startedMs: number; timeoutMs?: number | undefined }

/** What is left of a target's timeouts for an attempt that begins now: no retry makes a call last longer than one. */
export function timeoutsFor({ provider }: Target, { startedMs, timeoutMs }: Patience, nowMs: number): Timeouts {
  const { timeouts } = provider
  const leftMs = Math.max(1, startedMs + Math.min(timeouts.totalMs, timeoutMs ?? timeouts.totalMs) - nowMs)
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
