import type { UpstreamError } from '../../core/models.ts'

/** What may follow a failed attempt of which the caller has seen nothing. */
export type Next = {
  /** Wait this long and ask the same target again; undefined forbids it. */
  sameTargetAfterMs: number | undefined
  otherTarget: boolean
  /** The failure says something about the target's health. */
  counts: boolean
}

const RETRYABLE_STATUS = new Set([408, 500, 502, 503, 504, 529])
const BASE_MS = 50
const CAP_MS = 2000
/** A caller should not wait longer than this for the same target to want us back. */
const LONGEST_RETRY_AFTER_MS = 2000

const NEVER: Next = { sameTargetAfterMs: undefined, otherTarget: false, counts: false }

/**
 * The one table of retries. `repeatable` is true for calls that cost nothing twice (embeddings); a generation that timed
 * out may be running still, and is not paid for a second time.
 */
export function afterFailure(
  error: UpstreamError,
  attempt: { number: number; repeatable: boolean; random: number },
): Next {
  const backoffMs = Math.round(Math.min(CAP_MS, BASE_MS * 2 ** (attempt.number - 1)) * attempt.random)
  switch (error.fault) {
    case 'connect':
      return { sameTargetAfterMs: backoffMs, otherTarget: true, counts: true }
    case 'timeout':
      return { sameTargetAfterMs: undefined, otherTarget: attempt.repeatable, counts: true }
    case 'garbage':
    case 'cut':
    case 'reported':
      return { sameTargetAfterMs: undefined, otherTarget: true, counts: true }
    case 'aborted':
      return NEVER
    case 'status':
      return afterStatus(error, backoffMs)
  }
}

function afterStatus({ status = 0, retryAfterMs }: UpstreamError, backoffMs: number): Next {
  if (status === 429) {
    const soon = retryAfterMs !== undefined && retryAfterMs <= LONGEST_RETRY_AFTER_MS
    return { sameTargetAfterMs: soon ? retryAfterMs : undefined, otherTarget: true, counts: false }
  }
  if (RETRYABLE_STATUS.has(status)) return { sameTargetAfterMs: backoffMs, otherTarget: true, counts: true }
  // Our credential is not good there; another provider's may be.
  if (status === 401 || status === 403) return { sameTargetAfterMs: undefined, otherTarget: true, counts: true }
  return NEVER
}
