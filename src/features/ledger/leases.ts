import type { ConcurrencyRef, HoldAnswer, HoldRequest, PlaceRef } from '../../core/ledger.ts'

type Wish = Pick<HoldRequest, 'concurrency' | 'places'>
type Told = Pick<HoldAnswer & { ok: true }, 'place' | 'full'>
type Refused = { ok: false; limitId: string }
/** There is no place now at any target, but there may be one when a call ends. */
export type Seatless = { ok: false; fullLimitId: string }
type Place = { ok: true; limits: readonly ConcurrencyRef[]; told: Told }
/** Where a call can be counted: under limits of its caller, and under those of one of its targets. */
export type Seat = Place & { own: readonly ConcurrencyRef[] }

/**
 * Counts what runs at once under each concurrency limit: a hold is the lease, and its end gives the place back. A limit
 * that only monitors counts those whom it would have let in, and apart from them those whom it would not.
 */
export function createLeases() {
  const taken = new Map<string, number>()
  const leases = new Map<string, { own: readonly string[]; place: readonly string[] }>()
  let shadows = new Map<string, number>()

  const isFull = ({ id, amount }: ConcurrencyRef): boolean => (taken.get(id) ?? 0) >= amount
  const inTheWay = (limits: readonly ConcurrencyRef[]): ConcurrencyRef | undefined =>
    limits.find((limit) => !limit.monitors && isFull(limit))

  const placeAmong = (places: readonly PlaceRef[]): Place | Seatless => {
    const full = places.flatMap(({ target, limits }) => {
      const limit = inTheWay(limits)
      return limit ? [{ target, limitId: limit.id }] : []
    })
    const [first] = full
    const free = places.find(({ target }) => full.every((one) => one.target !== target))
    if (!free) return first ? { ok: false, fullLimitId: first.limitId } : { ok: true, limits: [], told: {} }
    return { ok: true, limits: free.limits, told: { place: free.target, ...(first && { full }) } }
  }

  const enter = (limits: readonly ConcurrencyRef[]): string[] => {
    const [over, open] = [limits.filter(isFull), limits.filter((limit) => !isFull(limit))]
    for (const { id } of over) shadows.set(id, (shadows.get(id) ?? 0) + 1)
    for (const { id } of open) taken.set(id, (taken.get(id) ?? 0) + 1)
    return open.map(({ id }) => id)
  }

  const leave = (ids: readonly string[]): void => {
    for (const id of ids) {
      const left = (taken.get(id) ?? 0) - 1
      if (left > 0) taken.set(id, left)
      else taken.delete(id)
    }
  }

  return {
    /** Where the call would be counted, or the first limit under which nothing more may run. Takes nothing. */
    find({ concurrency = [], places = [] }: Wish): Seat | Refused | Seatless {
      const full = inTheWay(concurrency)
      if (full) return { ok: false, limitId: full.id }
      const place = placeAmong(places)
      return place.ok ? { ...place, own: concurrency } : place
    },

    take(requestId: string, { own, limits }: Seat): void {
      if (own.length + limits.length > 0) leases.set(requestId, { own: enter(own), place: enter(limits) })
    },

    /** The call waits for a place: it counts among those of its caller from now on. */
    enlist(requestId: string, own: readonly ConcurrencyRef[]): void {
      if (own.length > 0) leases.set(requestId, { own: enter(own), place: [] })
    },

    /** The call will go elsewhere, or has waited: its place is now among these. It keeps the one it has where none of them is free. */
    move(requestId: string, places: readonly PlaceRef[]): (Told & { ok: true }) | Seatless {
      // A call that no limit bound until now may be bound where it goes.
      const lease = leases.get(requestId) ?? { own: [], place: [] }
      leave(lease.place)
      const place = placeAmong(places)
      if (place.ok) {
        leases.set(requestId, { ...lease, place: enter(place.limits) })
        return { ok: true, ...place.told }
      }
      for (const id of lease.place) taken.set(id, (taken.get(id) ?? 0) + 1)
      return place
    },

    giveBack(requestId: string): void {
      const lease = leases.get(requestId)
      leases.delete(requestId)
      leave([...(lease?.own ?? []), ...(lease?.place ?? [])])
    },

    /** How often each monitoring limit would have refused since the last time somebody asked. */
    takeShadows(): ReadonlyMap<string, number> {
      const counted = shadows
      shadows = new Map()
      return counted
    },
  }
}
