/** No request is on its way to the object for longer than this. */
const KEEP_MS = 10 * 60_000
/** Every call that a limit refuses is withdrawn: a flood of those must not fill the object's memory. */
const MAX_KEPT = 20_000

/**
 * Calls whose callers gave them up for good. A hold that reaches the object after that must not stay: nobody would
 * settle it. They are of this life only, for what was on its way to the last one never arrives.
 */
export function createWithdrawn(now: () => number) {
  /** Unix ms by request id, the oldest first. */
  const withdrawn = new Map<string, number>()

  return {
    add(requestId: string): void {
      withdrawn.set(requestId, now())
      for (const [oldest, atMs] of withdrawn) {
        if (atMs + KEEP_MS > now() && withdrawn.size <= MAX_KEPT) return
        withdrawn.delete(oldest)
      }
    },

    has: (requestId: string): boolean => withdrawn.has(requestId),
  }
}
