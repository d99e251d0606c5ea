import type { Deps } from '../../core/context.ts'
import type { SettledCall } from '../../core/ledger.ts'
import type { Gathering, Memory } from '../../core/memory.ts'

/**
 * So soon after settlements of an organisation have gone to its ledger nobody's goes alone: under load one call of the
 * ledger and one write of it serve many. A caller who makes one call after the other is slower than that.
 */
const GATHER_MS = 25

/** Whoever was to send what has gathered is gone after so long: the platform has ended its request. */
const LOST_MS = 500

/** Of more organisations than this an isolate forgets those for which nothing gathers. */
const MOST_REMEMBERED = 1000

type Bundle = { orgId: string; calls: readonly SettledCall[]; isUrgent: boolean }

/**
 * Sends settled calls, alone or with those of other requests of this isolate. The request that begins a bundle sends it;
 * for one that adds to it there is nothing to wait for.
 */
export async function gather(
  { memory, now }: Pick<Deps, 'memory' | 'now'>,
  { orgId, calls, isUrgent }: Bundle,
  send: (calls: readonly SettledCall[]) => Promise<void>,
): Promise<void> {
  const nowMs = now()
  const gathering = gatheringOf(memory, orgId, nowMs)
  const { waiting, dueMs } = gathering
  const goesNow = isUrgent || nowMs >= dueMs + (waiting ? LOST_MS : 0)
  if (waiting && !goesNow) {
    waiting.push(...calls)
    return
  }
  const bundle = [...(waiting ?? []), ...calls]
  if (!goesNow) {
    gathering.waiting = bundle
    await new Promise((resolve) => setTimeout(resolve, Math.min(GATHER_MS, dueMs - nowMs)))
    // Somebody in a hurry has taken them along.
    if (gathering.waiting !== bundle) return
  }
  gathering.waiting = undefined
  gathering.dueMs = now() + GATHER_MS
  await send(bundle)
}

function gatheringOf({ gatherings }: Pick<Memory, 'gatherings'>, orgId: string, nowMs: number): Gathering {
  const known = gatherings.get(orgId)
  if (known) return known
  if (gatherings.size >= MOST_REMEMBERED) {
    for (const [id, { waiting, dueMs }] of gatherings) if (!waiting && dueMs <= nowMs) gatherings.delete(id)
  }
  const made: Gathering = { waiting: undefined, dueMs: 0 }
  gatherings.set(orgId, made)
  return made
}
