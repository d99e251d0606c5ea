import type { Deps } from '../../core/context.ts'
import type { HealthCheck } from '../../core/health.ts'

/** Everybody may ask, so the monitor is asked at most once a second by each isolate. */
const KEEP_MS = 1000

type World = Pick<Deps, 'health' | 'memory' | 'now' | 'log'>
type Found = ReadonlyMap<string, readonly HealthCheck[]>

const NOTHING: Found = new Map()
/** By isolate. */
const kept = new WeakMap<object, { found: Found; untilMs: number }>()

/**
 * The last checks of the installation's providers, by name. While the monitor cannot be reached nothing is known of
 * any of them.
 */
export async function readChecks({ health, memory, now, log }: World): Promise<Found> {
  const known = kept.get(memory)
  if (known && known.untilMs > now()) return known.found
  // Whoever else asks meanwhile gets what was known before.
  if (known) kept.set(memory, { found: known.found, untilMs: now() + KEEP_MS })
  const found = await health.read().then(
    (all): Found => new Map(all.map(({ name, checks }) => [name, checks])),
    (cause: unknown) => {
      log.warn('health_not_read', { cause: String(cause) })
      return NOTHING
    },
  )
  kept.set(memory, { found, untilMs: now() + KEEP_MS })
  return found
}

/** Whoever begins to serve will be asked how the providers are: the monitor watches them from now on, for an hour. */
export async function beginWatch(world: World): Promise<void> {
  await readChecks(world)
}
