import type { Limit, LimitWindow } from '../../core/admission.ts'
import { isOnTarget } from './targets.ts'

/**
 * Where Redis counts what limits allow.
 *
 * <org>:rl:<limit>         string  a token bucket: `<Unix ms>:<level>`, a request being as much as the window has ms;
 *                                  until it is empty
 * <org>:rl:<limit>:<no>    string  taken in that window of a sliding limit; two windows
 * <org>:rl:<limit>:<d no>  string  taken on that day (`d`) or in that month (`m`) of the UTC calendar; two of them
 * <org>:shadow:<day>       hash    by limit: what limits in monitor mode would have refused on that UTC day; two days
 */
export const limitKeys = {
  bucket: (orgId: string, limitId: string) => `${orgId}:rl:${limitId}`,
  window: (orgId: string, limitId: string, name: string | number) => `${orgId}:rl:${limitId}:${name}`,
  shadow: (orgId: string, nowMs: number) => `${orgId}:shadow:${Math.floor(nowMs / DAY_MS)}`,
}

const DAY_MS = 86_400_000
/** How long what monitoring limits would have refused is kept. */
export const SHADOW_SECONDS = 2 * 86_400

/** A limit at one moment: where it is counted, how long its window is, and how much of that is over. */
export type Frame = {
  kind: 'bucket' | 'sliding' | 'fixed'
  /** The bucket; this window and the one before; or the period. */
  keys: readonly string[]
  windowMs: number
  /** Since the window began; 0 for a bucket. */
  intoMs: number
}

/** Limits of a caller that Redis counts, in the order in which the admission script is told of them. */
export const countedLimits = (limits: readonly Limit[]): readonly Limit[] =>
  limits.every(isCounted) ? limits : limits.filter(isCounted)

const isCounted = ({ metric, target }: Limit): boolean => metric !== 'concurrency' && target === undefined

/** Limits of providers that Redis counts and that bind one of these targets, told to the script behind the caller's. */
export const countedOnTargets = (limits: readonly Limit[], targets: readonly string[]): readonly Limit[] =>
  limits.some(isOfProvider)
    ? limits.filter((limit) => limit.metric !== 'concurrency' && targets.some((target) => isOnTarget(limit, target)))
    : []

const isOfProvider = ({ target }: Limit): boolean => target !== undefined

/** How long a window's count matters: it weighs on the next window, and late corrections belong to it. */
export const ttlSecondsOf = ({ windowMs }: Pick<Frame, 'windowMs'>): number => Math.ceil((2 * windowMs) / 1000)

/** Throws on a concurrency limit, which has no window. */
export function frameOf(orgId: string, { id, algorithm, window }: Limit, nowMs: number): Frame {
  if (window === undefined) throw new TypeError(`limits: ${id} has no window`)
  if (typeof window !== 'number') return periodFrame(orgId, id, { window, nowMs })
  const windowMs = window * 1000
  if (algorithm === 'token_bucket') {
    return { kind: 'bucket', keys: [limitKeys.bucket(orgId, id)], windowMs, intoMs: 0 }
  }
  const number = Math.floor(nowMs / windowMs)
  const keys = [limitKeys.window(orgId, id, number), limitKeys.window(orgId, id, number - 1)]
  return { kind: 'sliding', keys, windowMs, intoMs: nowMs % windowMs }
}

type Period = { window: Exclude<LimitWindow, number>; nowMs: number }

function periodFrame(orgId: string, id: string, { window, nowMs }: Period): Frame {
  if (window === 'day') {
    const keys = [limitKeys.window(orgId, id, `d${Math.floor(nowMs / DAY_MS)}`)]
    return { kind: 'fixed', keys, windowMs: DAY_MS, intoMs: nowMs % DAY_MS }
  }
  const date = new Date(nowMs)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  const startMs = Date.UTC(year, month)
  const keys = [limitKeys.window(orgId, id, `m${year * 12 + month}`)]
  return { kind: 'fixed', keys, windowMs: Date.UTC(year, month + 1) - startMs, intoMs: nowMs - startMs }
}
