import type { UpstreamError, UpstreamFault } from '../../core/models.ts'
import type { NodeFault } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { retryRules } from '../../core/reliability.ts'
import { blameOf } from '../providers/service.ts'

/** What may follow a failed attempt of which the caller has seen nothing. */
export type Next = {
  /** Wait this long and ask the same target again; undefined forbids it. */
  sameTargetAfterMs: number | undefined
  otherTarget: boolean
  /** The failure says something about the target's health. */
  counts: boolean
  /** The target has no capacity, and is not to be asked for a while. */
  cools: boolean
}

/** One line of the table. */
export type RetryRule = {
  situation: string
  fault: UpstreamFault
  /** Of the fault `status`. */
  statuses?: (status: number) => boolean
  /** What a refusal is about, where that makes a difference. */
  blame?: readonly ReturnType<typeof blameOf>[]
  /** What went wrong, where a node's words tell it. */
  at?: readonly NodeFault[]
  /** The call costs nothing twice; a rule that does not say is for both kinds. */
  repeatable?: boolean
  /** Ask the same target again: after a backoff, or when it said that it will have capacity. */
  same: 'no' | 'backoff' | 'retry_after'
  /** Ask the next target; `if_paid_twice` where the caller accepts that both may have to be paid. */
  other: 'no' | 'yes' | 'if_paid_twice'
  counts: boolean
  cools?: true
}

const isOneOf = (...list: readonly number[]) => {
  const known = new Set(list)
  return (status: number): boolean => known.has(status)
}

/** 520 to 530 are Cloudflare's words for a vendor or a tunnel that is away (524 is below); 529 is Anthropic's for being overloaded. */
const isPassing = (status: number): boolean =>
  [408, 500, 502, 503, 504].includes(status) || (status >= 520 && status <= 530)

/** Cloudflare heard nothing for its 100 seconds; who was asked may be at work still. */
const isSilence = isOneOf(524)

/** Our credential or our credit is no good there: the caller can do nothing about it, the operator must. */
const isRefusal = isOneOf(401, 402, 403)

/**
 * The one table of retries; the first line that fits is the one. A generation that timed out may be running still, and is
 * not paid for a second time unless its caller accepts that. After a byte of content nothing is tried again: by then an
 * attempt counts as an answer.
 */
export const retryTable: readonly RetryRule[] = [
  { situation: 'nothing was sent', fault: 'connect', same: 'backoff', other: 'yes', counts: true },
  {
    situation: 'silence, and it costs nothing twice',
    fault: 'timeout',
    repeatable: true,
    same: 'backoff',
    other: 'yes',
    counts: true,
  },
  { situation: 'silence', fault: 'timeout', same: 'no', other: 'if_paid_twice', counts: true },
  { situation: 'a 2xx that is no answer', fault: 'garbage', same: 'no', other: 'yes', counts: true },
  { situation: 'a head, then a cut', fault: 'cut', same: 'no', other: 'yes', counts: true },
  { situation: 'an error within a 2xx', fault: 'reported', same: 'no', other: 'yes', counts: true },
  { situation: 'it has as many calls as it takes', fault: 'overloaded', same: 'no', other: 'yes', counts: false },
  { situation: 'we or the caller ended it', fault: 'aborted', same: 'no', other: 'no', counts: false },
  {
    situation: 'no capacity',
    fault: 'status',
    statuses: isOneOf(429),
    same: 'retry_after',
    other: 'yes',
    counts: false,
    cools: true,
  },
  {
    situation: 'silence behind Cloudflare, and it costs nothing twice',
    fault: 'status',
    statuses: isSilence,
    repeatable: true,
    same: 'backoff',
    other: 'yes',
    counts: true,
  },
  {
    situation: 'silence behind Cloudflare',
    fault: 'status',
    statuses: isSilence,
    same: 'no',
    other: 'if_paid_twice',
    counts: true,
  },
  // Asked again it would be as full; another has its own memory, and a smaller model may fit.
  { situation: 'out of memory', fault: 'status', at: ['out_of_memory'], same: 'no', other: 'yes', counts: true },
  // Nobody's fault but the list's: whoever else has the model answers.
  {
    situation: 'the node lacks the model',
    fault: 'status',
    at: ['model_missing'],
    same: 'no',
    other: 'yes',
    counts: false,
  },
  {
    situation: 'a fault that passes',
    fault: 'status',
    statuses: isPassing,
    same: 'backoff',
    other: 'yes',
    counts: true,
  },
  {
    situation: 'not for this input or model',
    fault: 'status',
    statuses: isRefusal,
    blame: ['model', 'input'],
    same: 'no',
    other: 'yes',
    counts: false,
  },
  // Another provider's credential may be good.
  { situation: 'a refused credential', fault: 'status', statuses: isRefusal, same: 'no', other: 'yes', counts: true },
  // A redirect or a reply to nobody's question is as good as garbage.
  {
    situation: 'a redirect',
    fault: 'status',
    statuses: (status) => status < 400,
    same: 'no',
    other: 'yes',
    counts: true,
  },
  { situation: "the caller's fault", fault: 'status', same: 'no', other: 'no', counts: false },
]

/** A caller should not wait longer than this for the same target to want us back. */
const LONGEST_RETRY_AFTER_MS = 2000

export type Attempt = {
  /** From 1, over all targets of the call. */
  number: number
  /** True for calls that cost nothing twice (embeddings). */
  repeatable: boolean
  /** Two targets may have to be paid for one answer. */
  mayPayTwice?: boolean | undefined
  /** The caller gave the attempt less time than we would have: its end says nothing about the target. */
  hurried: boolean
  /** 0 ≤ random < 1: full jitter. */
  random: number
}

const NEVER: RetryRule = { situation: 'unknown', fault: 'aborted', same: 'no', other: 'no', counts: false }

const isAmong = (faults: readonly NodeFault[], fault: NodeFault | undefined): boolean =>
  fault !== undefined && faults.includes(fault)

/** The line of the table for a failure. */
export function ruleFor(error: UpstreamError, repeatable: boolean): RetryRule {
  const { fault, status = 0 } = error
  const rule = retryTable.find(
    (one) =>
      one.fault === fault &&
      (one.statuses?.(status) ?? true) &&
      (one.repeatable ?? repeatable) === repeatable &&
      (one.blame?.includes(blameOf(error)) ?? true) &&
      (one.at === undefined || isAmong(one.at, nodeFaultOf(error))),
  )
  return rule ?? NEVER
}

export function afterFailure(error: UpstreamError, attempt: Attempt): Next {
  const { number, repeatable, mayPayTwice = false, hurried, random } = attempt
  const { same, other, counts, cools = false } = ruleFor(error, repeatable)
  const { backoffMs, longestBackoffMs } = retryRules
  const { retryAfterMs } = error
  const isSoon = retryAfterMs !== undefined && retryAfterMs <= LONGEST_RETRY_AFTER_MS
  const waits = {
    no: undefined,
    backoff: Math.round(Math.min(longestBackoffMs, backoffMs * 2 ** (number - 1)) * random),
    retry_after: isSoon ? retryAfterMs : undefined,
  }
  return {
    sameTargetAfterMs: waits[same],
    otherTarget: other === 'yes' || (other === 'if_paid_twice' && mayPayTwice),
    counts: counts && !(hurried && error.fault === 'timeout'),
    cools,
  }
}

/** A failure that the operator must hear of, because it does not pass by itself. */
export const isOperatorsFault = (error: UpstreamError): boolean =>
  error.fault === 'status' && blameOf(error) === 'credential'
