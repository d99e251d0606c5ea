import type { UpstreamError } from '../../core/models.ts'
import { blameOf } from '../providers/service.ts'

/** What may follow a failed attempt of which the caller has seen nothing. */
export type Next = {
  /** Wait this long and ask the same target again; undefined forbids it. */
  sameTargetAfterMs: number | undefined
  otherTarget: boolean
  /** The failure says something about the target's health. */
  counts: boolean
}

/** 520 to 530 are Cloudflare's words for a vendor or a tunnel that is away; 529 is Anthropic's for being overloaded. */
const isRetryable = (status: number): boolean =>
  [408, 500, 502, 503, 504].includes(status) || (status >= 520 && status <= 530)
/** Our credential or our credit is no good there: the caller can do nothing about it, the operator must. */
const isRefusedCredential = (status: number): boolean => status === 401 || status === 402 || status === 403
const BASE_MS = 50
const CAP_MS = 2000
/** A caller should not wait longer than this for the same target to want us back. */
const LONGEST_RETRY_AFTER_MS = 2000

const NEVER: Next = { sameTargetAfterMs: undefined, otherTarget: false, counts: false }

export type Attempt = {
  /** From 1, over all targets of the call. */
  number: number
  /**
   * True for calls that cost nothing twice (embeddings). A generation that timed out may be running still, and is not
   * paid for a second time.
   */
  repeatable: boolean
  /** The caller gave the call less time than we would have: its end says nothing about the target. */
  hurried: boolean
  /** 0 ≤ random < 1: full jitter. */
  random: number
}

/** The one table of retries. */
export function afterFailure(error: UpstreamError, attempt: Attempt): Next {
  const backoffMs = Math.round(Math.min(CAP_MS, BASE_MS * 2 ** (attempt.number - 1)) * attempt.random)
  switch (error.fault) {
    case 'connect':
      return { sameTargetAfterMs: backoffMs, otherTarget: true, counts: true }
    case 'timeout':
      return attempt.repeatable
        ? { sameTargetAfterMs: backoffMs, otherTarget: true, counts: !attempt.hurried }
        : { ...NEVER, counts: !attempt.hurried }
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

function afterStatus(error: UpstreamError, backoffMs: number): Next {
  const { status = 0, retryAfterMs } = error
  if (status === 429) {
    const soon = retryAfterMs !== undefined && retryAfterMs <= LONGEST_RETRY_AFTER_MS
    return { sameTargetAfterMs: soon ? retryAfterMs : undefined, otherTarget: true, counts: false }
  }
  if (isRetryable(status)) return { sameTargetAfterMs: backoffMs, otherTarget: true, counts: true }
  // Another provider's credential may be good; a redirect or a reply to nobody's question is as good as garbage.
  if (isRefusedCredential(status) || status < 400) {
    const blame = blameOf(error)
    if (blame === 'model' || blame === 'input') return { ...NEVER, otherTarget: true }
    return { sameTargetAfterMs: undefined, otherTarget: true, counts: true }
  }
  return NEVER
}

/** A failure that the operator must hear of, because it does not pass by itself. */
export const isOperatorsFault = (error: UpstreamError): boolean =>
  error.fault === 'status' && blameOf(error) === 'credential'
