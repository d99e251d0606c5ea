import type { Limit, Policy, UsedUp } from '../../core/admission.ts'
import type { ConcurrencyRef, HoldAnswer, HoldRequest, PlaceRef } from '../../core/ledger.ts'
import type { Priority } from '../../core/routing.ts'
import { isOnTarget } from '../limits/service.ts'

/** When to ask again for a place: nobody knows when one of those who have one is done. */
export const BUSY_MS = 1000

/**
 * The limits of calls at once that a call is held under: its caller's, and those of the providers that may answer it.
 * Where all of these may be full the call waits for a place, by its priority.
 */
export function placesOf(
  { limits }: Policy,
  candidates: readonly string[],
  priority: Priority = 'normal',
): Pick<HoldRequest, 'concurrency' | 'places' | 'priority'> {
  const counted = limits.filter(({ metric }) => metric === 'concurrency')
  const own = counted.filter(({ target }) => target === undefined)
  const places = candidates.map(
    (target): PlaceRef => ({ target, limits: counted.filter((limit) => isOnTarget(limit, target)).map(refOf) }),
  )
  return {
    ...(own.length > 0 && { concurrency: own.map(refOf) }),
    ...(places.some((place) => place.limits.length > 0) && { places, priority }),
  }
}

const refOf = ({ id, amount, mode }: Limit): ConcurrencyRef => ({
  id,
  amount,
  ...(mode === 'monitor' && { monitors: true }),
})

type Held = PromiseSettledResult<HoldAnswer | undefined>

/**
 * The ledger chose the call's place while Redis was still being asked which targets are out. Where it chose one of those
 * it is asked once more, for a place at one that is not.
 */
export async function reseat(
  ask: (hold: HoldRequest) => Promise<HoldAnswer>,
  hold: HoldRequest | undefined,
  { held, isOut }: { held: Held; isOut: (target: string) => boolean },
): Promise<Held> {
  if (!hold?.places || held.status === 'rejected' || !held.value?.ok) return held
  const { place } = held.value
  const places = hold.places.filter(({ target }) => !isOut(target))
  if (place === undefined || !isOut(place) || places.length === 0) return held
  const [moved] = await Promise.allSettled([ask({ ...hold, places })])
  return moved
}

/** The targets at which there is no place. */
export const withoutPlace = ({ full = [] }: HoldAnswer & { ok: true }, nowMs: number): [string, UsedUp][] =>
  full.map(({ target, limitId }) => [target, { limitId, untilMs: nowMs + BUSY_MS }])
