import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { SeenTarget } from '../../core/memory.ts'
import { breakerRules, coolingRules } from '../../core/reliability.ts'
import { noteTarget, type Probe, type TargetNote, type TargetNoted } from '../admission/service.ts'
import { countGood, keepLonger, seenOf, takeGood } from './seen.ts'

type World = Pick<Deps, 'memory' | 'redis' | 'log' | 'now' | 'random'> & { defer: (work: Promise<unknown>) => void }

/** Why a target is not asked now, and until when (Unix ms). */
export type Barred = { reason: 'breaker_open' | 'cooling'; untilMs: number }

/** A target answered. Redis hears of it only from a probe. */
export function noteSuccess(world: World, id: string, probe?: Probe): void {
  const seen = seenOf(world.memory, id, world.now())
  countGood(seen)
  if (probe) tell(world, id, { seen, note: { what: 'good', probe } })
}

/**
 * A target failed by its own fault. All isolates are told, and this one goes by what it knows until they have been: it
 * knows at least of the failures in a row that it saw itself.
 */
export function noteFailure(world: World, id: string, probe?: Probe): void {
  const nowMs = world.now()
  const seen = seenOf(world.memory, id, nowMs)
  keepLonger(world.memory, id, seen)
  seen.failures += 1
  if (seen.failures >= breakerRules.failuresInRow) seen.own.openUntilMs = nowMs + breakerRules.openMs
  tell(world, id, { seen, note: { what: 'fail', probe, good: takeGood(seen) } })
}

/** A target refused for want of capacity: nobody asks it before it said, or for a while that doubles each time. */
export function noteBusy(
  world: World,
  id: string,
  { retryAfterMs, probe }: { retryAfterMs: number | undefined; probe?: Probe | undefined },
): void {
  const nowMs = world.now()
  const seen = seenOf(world.memory, id, nowMs)
  keepLonger(world.memory, id, seen)
  const untilMs = retryAfterMs === undefined ? undefined : nowMs + retryAfterMs
  const known = Math.max(seen.coolUntilMs, seen.own.coolUntilMs)
  if (untilMs !== undefined) seen.own.coolUntilMs = Math.max(known, untilMs)
  else if (known <= nowMs) {
    seen.own.coolUntilMs = nowMs + coolingMs(seen.refusals, world.random())
    seen.refusals += 1
  }
  world.log.warn('target_cooling', { target: id, for_ms: Math.max(known, seen.own.coolUntilMs) - nowMs })
  tell(world, id, { seen, note: { what: 'cool', probe, untilMs, good: takeGood(seen) } })
}

/** How long a target cools that did not say: after `before` refusals in a row. */
export function coolingMs(before: number, random: number): number {
  const { firstMs, longestMs, jitter } = coolingRules
  return Math.floor(Math.min(longestMs, firstMs * 2 ** before) * (1 + jitter * (2 * random - 1)))
}

/**
 * Why a call that was told at `toldMs` how targets stand must not ask this one any more: what this isolate saw since, or
 * could not tell anybody. 0 for a call that was told nothing: it goes by all that the isolate knows.
 */
export function barredNow({ memory, now }: World, id: string, toldMs: number): Barred | undefined {
  const seen = memory.targets.get(id)
  const wasTold = seen !== undefined && seen.notedMs >= toldMs
  if (!seen || (seen.isTold && !wasTold)) return undefined
  const nowMs = now()
  const known = wasTold ? seen : NEVER
  const own = seen.isTold ? NEVER : seen.own
  const openUntilMs = Math.max(known.openUntilMs, own.openUntilMs)
  if (openUntilMs > nowMs) return { reason: 'breaker_open', untilMs: openUntilMs }
  const coolUntilMs = Math.max(known.coolUntilMs, own.coolUntilMs)
  return coolUntilMs > nowMs ? { reason: 'cooling', untilMs: coolUntilMs } : undefined
}

const NEVER = { openUntilMs: 0, coolUntilMs: 0 }

type Told = { seen: SeenTarget; note: Omit<TargetNote, 'nowMs' | 'random'> }

function tell(world: World, id: string, { seen, note }: Told): void {
  seen.isTold = false
  seen.telling += 1
  const told = noteTarget(world.redis, id, { ...note, nowMs: world.now(), random: world.random() })
  world.defer(
    told.then(
      (noted) => learn(world, id, { seen, noted }),
      (error: unknown) => {
        seen.telling -= 1
        if (!(error instanceof DependencyError)) throw error
        world.log.warn('redis_away_for_breakers', { target: id, cause: String(error.cause) })
      },
    ),
  )
}

/**
 * Redis knows what all isolates have told, so it is right where this one thought otherwise; not yet while there is more
 * that it is being told.
 */
function learn(world: World, id: string, { seen, noted }: { seen: SeenTarget; noted: TargetNoted }): void {
  const nowMs = world.now()
  const { moved, openUntilMs, coolUntilMs } = noted
  seen.telling -= 1
  if (seen.telling === 0)
    Object.assign(seen, { openUntilMs, coolUntilMs, notedMs: nowMs, own: { ...NEVER }, isTold: true })
  if (moved === 'opened') {
    seen.failures = 0
    world.log.warn('breaker_opened', { target: id, open_ms: openUntilMs - nowMs })
  } else if (moved === 'closed') world.log.info('breaker_closed', { target: id })
}
