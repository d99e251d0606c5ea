import type { Memory, SeenTarget } from '../../core/memory.ts'
import { breakerRules, retryRules } from '../../core/reliability.ts'

/** Callers may name models that do not exist: these must not fill the isolate. */
const MOST_REMEMBERED = 1000

const { bucketMs, buckets } = breakerRules

const none = (): number[] => Array.from({ length: buckets }, () => 0)

/** What this isolate has seen of a target in the last minute, up to now. */
export function seenOf({ targets }: Pick<Memory, 'targets'>, id: string, nowMs: number): SeenTarget {
  const known = targets.get(id)
  if (known) {
    turnTo(known, Math.floor(nowMs / bucketMs))
    return known
  }
  for (const [oldest] of targets) {
    if (targets.size < MOST_REMEMBERED) break
    targets.delete(oldest)
  }
  const seen: SeenTarget = {
    bucket: Math.floor(nowMs / bucketMs),
    calls: none(),
    repeats: none(),
    good: none(),
    wasGood: false,
    failures: 0,
    refusals: 0,
    openUntilMs: 0,
    coolUntilMs: 0,
    notedMs: 0,
    own: { openUntilMs: 0, coolUntilMs: 0 },
    telling: 0,
    isTold: true,
  }
  targets.set(id, seen)
  return seen
}

/** Whom something happened to is kept the longest: invented names of one caller must not undo what is known of others. */
export function keepLonger({ targets }: Pick<Memory, 'targets'>, id: string, seen: SeenTarget): void {
  targets.delete(id)
  targets.set(id, seen)
}

function turnTo(seen: SeenTarget, bucket: number): void {
  const first = Math.max(seen.bucket + 1, bucket - buckets + 1)
  for (let passed = first; passed <= bucket; passed += 1) {
    seen.calls[passed % buckets] = 0
    seen.repeats[passed % buckets] = 0
    seen.good[passed % buckets] = 0
  }
  if (bucket > seen.bucket) seen.bucket = bucket
}

const countIn = (counts: number[], { bucket }: SeenTarget): void => {
  counts[bucket % buckets] = (counts[bucket % buckets] ?? 0) + 1
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)

export const countCall = (seen: SeenTarget): void => countIn(seen.calls, seen)

export function countGood(seen: SeenTarget): void {
  countIn(seen.good, seen)
  seen.wasGood = true
  seen.failures = 0
  seen.refusals = 0
}

/** Takes a repetition from the target's budget; false when there is none left. */
export function takeRepeat(seen: SeenTarget): boolean {
  if (sum(seen.repeats) >= Math.max(retryRules.floor, sum(seen.calls) * retryRules.share)) return false
  countIn(seen.repeats, seen)
  return true
}

/** What went well since the last time, by the number of its bucket, for the other isolates to know. */
export function takeGood(seen: SeenTarget): ReadonlyMap<number, number> {
  const told = new Map<number, number>()
  for (let bucket = seen.bucket - buckets + 1; bucket <= seen.bucket; bucket += 1) {
    const count = seen.good[bucket % buckets] ?? 0
    if (count > 0) told.set(bucket, count)
  }
  // Too long ago to be counted, and still the end of a row of failures.
  if (seen.wasGood && told.size === 0) told.set(0, 1)
  seen.good.fill(0)
  seen.wasGood = false
  return told
}
