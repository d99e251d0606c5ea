import { type Priority, priorities } from './routing.ts'

/** What a level counts for in a queue. */
const LEVELS: Readonly<Record<Priority, number>> = { critical: 4, high: 3, normal: 2, low: 1 }
/** Waiting raises by one level in this time, continuously: nobody waits for ever behind those who come later. */
const LEVEL_MS = 10_000
/** How much of a line may be full before somebody of this priority is refused. */
const SHARES: Readonly<Record<Priority, number>> = { critical: 1, high: 0.9, normal: 0.75, low: 0.5 }

export const MOST_WAITING = 100
export const LONGEST_WAIT_MS = 30_000

/**
 * How long a call may wait that has so much time left: no more than half of it, for who is served in their last moment
 * is served in vain.
 */
export const longestWaitMs = (leftMs: number): number => Math.min(LONGEST_WAIT_MS, Math.floor(leftMs / 2))

const LEAST_RETRY_MS = 1000

/** Each service counts this much of the next one in the rate: the last thirty or so decide, for places come free in bursts. */
const FADE = 0.97
/** Services to spare for who is let in: a count that is left to chance deviates by its root. */
const SPARE_DEVIATIONS = 2
/** With fewer than that nothing can be said about how fast a line moves. */
const LEAST_SERVED = 3
/** One who came tells nothing of how many come: a line was watched for so long at the least. */
const LEAST_WATCHED_MS = 250
/** A line that was empty for longer than that is not the crowd that it was. */
const OTHER_CROWD_MS = 5000
/** How fast a line moved says nothing once nobody was served in it for so long. */
const STALE_MS = 60_000

export type Waiting<T> = {
  id: string
  /** What it waits for. Those of one line count against one bound and move at one rate. */
  line: string
  priority: Priority
  /** Unix ms after which it is of no use to serve it. */
  untilMs: number
  item: T
}
type Place<T> = Waiting<T> & { rank: number }

/**
 * What was served of a line while somebody waited in it, in how many milliseconds, and how many of each priority came to
 * wait in the last `cameMs` of them; all fade.
 */
type Pace = { served: number; ms: number; sinceMs: number; came: Record<Priority, number>; cameMs: number }

export type Offered = { ok: true } | { ok: false; retryAfterMs: number }
export type Queue<T> = ReturnType<typeof createQueue<T>>

/** How many may wait in each line, and in all lines together. */
export type Room = { most?: number; mostInAll?: number }

/**
 * Those who wait, the most urgent first: by level (critical 4 to low 1) plus one for every ten seconds of waiting, and
 * at the same level by arrival. Pure: the time is always passed in, and never goes back.
 */
export function createQueue<T>({ most = MOST_WAITING, mostInAll = Number.POSITIVE_INFINITY }: Room = {}) {
  let waiting: Place<T>[] = []
  const lengths = new Map<string, number>()
  const paces = new Map<string, Pace>()

  const length = (line: string): number => lengths.get(line) ?? 0

  /** A line begins: from now on it is known how long each service takes. */
  const begin = (line: string, nowMs: number): void => {
    const known = paces.get(line)
    const pausedMs = known ? nowMs - known.sinceMs : Number.POSITIVE_INFINITY
    const moved = known && pausedMs <= STALE_MS ? known : { served: 0, ms: 0 }
    const crowd =
      known && pausedMs <= OTHER_CROWD_MS
        ? { came: known.came, cameMs: known.cameMs + pausedMs }
        : { came: { critical: 0, high: 0, normal: 0, low: 0 }, cameMs: LEAST_WATCHED_MS }
    paces.set(line, { ...moved, ...crowd, sinceMs: nowMs })
  }

  const noteServed = (pace: Pace, nowMs: number): void => {
    pace.served = pace.served * FADE + 1
    pace.ms = pace.ms * FADE + (nowMs - pace.sinceMs)
    pace.cameMs = pace.cameMs * FADE + (nowMs - pace.sinceMs)
    pace.sinceMs = nowMs
    for (const priority of priorities) pace.came[priority] *= FADE
  }

  /** Milliseconds until so many of the line are served; undefined where nobody can tell. A line that stalls is slow. */
  const estimateMs = (line: string, count: number, nowMs: number): number | undefined => {
    const pace = paces.get(line)
    if (!pace || pace.served < LEAST_SERVED || nowMs - pace.sinceMs > STALE_MS) return undefined
    const idleMs = length(line) > 0 ? nowMs - pace.sinceMs : 0
    return (count * (pace.ms + idleMs)) / pace.served
  }

  /** How many will come in so long a wait and be served before one of that priority. */
  const overtaking = ({ came, cameMs }: Pace, priority: Priority, waitMs: number): number =>
    priorities.reduce((sum, other) => {
      const levels = LEVELS[other] - LEVELS[priority]
      // Who has waited for as many levels is overtaken no more.
      return levels > 0 ? sum + (came[other] / cameMs) * Math.min(waitMs, levels * LEVEL_MS) : sum
    }, 0)

  /** Whether their time is too short for all who are served before them, with so many `ahead` already. */
  const isTooLate = ({ line, priority, untilMs }: Waiting<T>, ahead: number, nowMs: number): boolean => {
    const leftMs = untilMs - nowMs
    const pace = paces.get(line)
    if (leftMs <= 0 || ahead === 0 || !pace) return leftMs <= 0
    const watched = { ...pace, cameMs: pace.cameMs + nowMs - pace.sinceMs }
    const services = ahead + 1 + overtaking(watched, priority, leftMs)
    return (estimateMs(line, services + SPARE_DEVIATIONS * Math.sqrt(services), nowMs) ?? 0) > leftMs
  }

  const left = ({ line }: Place<T>): void => {
    const rest = length(line) - 1
    if (rest > 0) lengths.set(line, rest)
    else lengths.delete(line)
  }

  const removeWhere = (isOut: (place: Place<T>) => boolean): Place<T>[] => {
    const out = waiting.filter(isOut)
    if (out.length > 0) waiting = waiting.filter((place) => !out.includes(place))
    for (const place of out) left(place)
    return out
  }

  const retryAfterMs = (line: string, nowMs: number): number =>
    Math.max(LEAST_RETRY_MS, Math.round(estimateMs(line, length(line), nowMs) ?? 0))

  return {
    /**
     * Lets somebody wait, or says at once when to come back: where the line, or all of them together, are as full as
     * their priority allows, and where they would not be served in their time. The first may always wait: they find out how fast the line moves.
     */
    offer(one: Waiting<T>, nowMs: number): Offered {
      const { line, priority } = one
      // Since ranks do not move with time, neither does the order: levels rise alike for all.
      const rank = nowMs - LEVELS[priority] * LEVEL_MS
      const ahead = waiting.findIndex((other) => other.rank > rank)
      const at = ahead === -1 ? waiting.length : ahead
      const before = waiting.reduce((count, other, index) => count + (index < at && other.line === line ? 1 : 0), 0)
      const isFull = length(line) >= most * SHARES[priority] || waiting.length >= mostInAll * SHARES[priority]
      if (isFull || isTooLate(one, before, nowMs)) {
        return { ok: false, retryAfterMs: retryAfterMs(line, nowMs) }
      }
      if (length(line) === 0) begin(line, nowMs)
      const pace = paces.get(line)
      if (pace) pace.came[priority] += 1
      lengths.set(line, length(line) + 1)
      waiting.splice(at, 0, { ...one, rank })
      return { ok: true }
    },

    /** Takes everybody out, in order, whom `trySeat` has a place for now. Those whose time is over are not asked. */
    serve(trySeat: (item: T) => boolean, nowMs: number): void {
      if (waiting.length === 0) return
      const served = new Set(waiting.filter(({ item, untilMs }) => untilMs > nowMs && trySeat(item)))
      for (const { line } of removeWhere((place) => served.has(place))) {
        const pace = paces.get(line)
        if (pace) noteServed(pace, nowMs)
      }
    },

    /** Takes that one out; undefined when nobody of that id waits. */
    withdraw: (id: string): T | undefined => removeWhere((place) => place.id === id)[0]?.item,

    /** Takes out those whose time is over, with when to come back. */
    expire: (nowMs: number): { item: T; retryAfterMs: number }[] =>
      removeWhere(({ untilMs }) => untilMs <= nowMs).map(({ item, line }) => ({
        item,
        retryAfterMs: retryAfterMs(line, nowMs),
      })),

    nextExpiryMs(): number | undefined {
      const first = waiting.reduce((least, { untilMs }) => Math.min(least, untilMs), Number.POSITIVE_INFINITY)
      return Number.isFinite(first) ? first : undefined
    },

    size: (): number => waiting.length,
  }
}
