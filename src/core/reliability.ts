/** When a target is given up, for how long, and how often it is asked: what stores, dispatch and tests go by. */

/** Of a target's breaker, which all isolates share. */
export const breakerRules = {
  /** It opens at so many failures in a row, */
  failuresInRow: 5,
  /** or when so many calls in the window had this share of failures. */
  leastCalls: 20,
  failureShare: 0.5,
  bucketMs: 10_000,
  /** The window: 60 s. */
  buckets: 6,
  /** It is left alone for so long, twice as long each time that it fails again. */
  openMs: 10_000,
  longestOpenMs: 60_000,
  /** Then so many calls at once try it, */
  probesAtOnce: 3,
  /** each for no longer than that, */
  probeMs: 60_000,
  /** and so many that went well close it. */
  goodProbes: 2,
} as const

/** Of a target that refuses for want of capacity (429) and does not say until when: twice as long each time. */
export const coolingRules = { firstMs: 1000, longestMs: 30_000, jitter: 0.1 } as const

export const retryRules = {
  /** Attempts of a call, over all its targets; one whose caller named more targets tries each once. */
  attempts: 3,
  /** Of a target's calls of the last minute, those that may ask it again; moving on is not counted. */
  share: 0.1,
  /** So many are always allowed. */
  floor: 10,
  backoffMs: 50,
  longestBackoffMs: 2000,
} as const
