import type { Deps } from '../../core/context.ts'
import { redisKeys } from '../admission/service.ts'

/** Failures in a row, as one isolate sees them, that open a target's breaker for every isolate. */
const FAILURES_TO_OPEN = 5
const OPEN_MS = 10_000
/** Callers may name models that do not exist: their failures must not fill the isolate. */
const MOST_REMEMBERED = 1000

type World = Pick<Deps, 'memory' | 'redis' | 'log' | 'now'> & { defer: (work: Promise<unknown>) => void }

export function noteSuccess({ memory }: Pick<Deps, 'memory'>, targetId: string): void {
  if (memory.failures.size > 0) memory.failures.delete(targetId)
}

/** What failed longest ago goes first: invented names of one caller must not undo what was counted of others. */
function remember({ memory: { failures } }: Pick<Deps, 'memory'>, targetId: string, count: number): void {
  failures.delete(targetId)
  for (const [oldest] of failures) {
    if (failures.size < MOST_REMEMBERED) break
    failures.delete(oldest)
  }
  failures.set(targetId, count)
}

/** Redis hears of it only when the breaker moves: admission tells every isolate on its next call. */
export function noteFailure(world: World, targetId: string): void {
  const failures = (world.memory.failures.get(targetId) ?? 0) + 1
  remember(world, targetId, failures)
  if (failures < FAILURES_TO_OPEN) return
  world.memory.failures.delete(targetId)
  world.log.warn('breaker_opened', { target: targetId, open_ms: OPEN_MS })
  const until = String(world.now() + OPEN_MS)
  world.defer(world.redis.pipeline([['SETPX', redisKeys.breaker(targetId), until, OPEN_MS]]))
}
