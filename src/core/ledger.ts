import type { DecisionRow } from './decision.ts'
import type { Measured } from './figures.ts'
import type { RequestRow } from './request-log.ts'
import type { Priority } from './routing.ts'

/** Money of one organisation. All amounts are integer nano-USD (1 USD = 1,000,000,000). */

export type BudgetWindow = 'total' | 'day' | 'month' | 'rolling_30d'

/** A budget as the caller's policy states it: its limit travels with every call. */
export type BudgetRef = {
  id: string
  window: BudgetWindow
  limitNanoUsd: number
  /** Counts calls of this model only, whoever makes them. */
  model?: string
  /** Only tells: nothing is held in it and nothing refused. */
  soft?: true
  /** Shares of the limit, in percent, at which somebody is told. */
  softPercent?: readonly number[]
}

/** What a budget has used in its window now. Held is what calls that run may still cost. */
export type BudgetSpend = { id: string; settledNanoUsd: number; heldNanoUsd: number }

/** What was settled on a day, and how much of it is still on its way to Postgres. */
export type DayTotal = { settledNanoUsd: number; waitingNanoUsd: number }

/** The last four are of sounds, and cost a node's time instead of tokens. */
export const ledgerOperations = [
  'chat',
  'completion',
  'embedding',
  'rerank',
  'transcription',
  'translation',
  'speech',
  'audio_analysis',
] as const
export type LedgerOperation = (typeof ledgerOperations)[number]

/** Operations whose answers are written token by token. */
export const writesTokens = (operation: LedgerOperation): boolean => operation === 'chat' || operation === 'completion'

/** What is known of a call before it is made: enough to write its row if it is never heard of again. */
export type CallFacts = {
  request_id: string
  org_id: string
  key_id: string
  /** The person behind the credential. */
  user_id: string | null
  /** The agent whose key it is. */
  agent_id: string | null
  /** The run that the call is part of: its budget and those of the runs above it apply, too. */
  run_id: string | null
  operation: LedgerOperation
  provider: string
  model: string
  price_id: string
  prices_hash: string
  /** The request that the call is made for, where that is not its own. */
  parent_request_id?: string | null
}

/** A limit of calls under way at once, as the caller's policy states it. */
export type ConcurrencyRef = {
  id: string
  amount: number
  /** Refuses nobody: what it would have refused is counted. */
  monitors?: true
}

/** A target (`provider/model`) that may answer, with the limits of its provider. */
export type PlaceRef = { target: string; limits: readonly ConcurrencyRef[] }

export type HoldRequest = {
  facts: CallFacts
  amountNanoUsd: number
  /** Unix milliseconds after which the call cannot be alive any more. */
  deadlineMs: number
  /**
   * Hard ones, to be held in, and soft ones, in which the call counts if it is never heard of again. The budgets of a
   * run are not among them: the ledger knows them by the run's name.
   */
  budgets: readonly BudgetRef[]
  /** The hold is a place under each of these, until it is settled, released or overdue. */
  concurrency?: readonly ConcurrencyRef[]
  /** In order of preference: the hold is a place at the first that has one. Asking again moves it among these. */
  places?: readonly PlaceRef[]
  /**
   * Where there is no place the call waits for one, in this order, for 30 seconds or half of its time: the answer comes
   * later. Without it the call is refused at once.
   */
  priority?: Priority
  /** The call is held already, as a part of this credit. */
  creditId?: string
  wish?: CreditWish
}

/** Whether every place of the call may be taken, so that its hold is answered when there is one for it. */
export const mayHaveToWait = ({ places, priority }: HoldRequest): boolean =>
  priority !== undefined && places?.every(({ limits }) => limits.some(({ monitors }) => !monitors)) === true

/**
 * What an isolate was left of its caller's budgets, to hold calls with that it makes soon: the ledger holds all of it.
 * Nobody draws on it for a call that ends after `deadlineMs`.
 */
export type Credit = { id: string; nanoUsd: number; deadlineMs: number }

/** What a call drew on a credit. It is nobody else's for as long as the credit lasts, whatever becomes of the call. */
export type Drawn = { creditId: string; nanoUsd: number }

/** What an isolate wishes to be left beside the hold, and the credit that it has. */
export type CreditWish = { nanoUsd: number; creditId?: string }

/** An isolate draws on a credit for so long after it last asked for some. */
export const CREDIT_MS = 5000

/** A call that drew on a credit is on Redis' list of open calls so soon, or is announced, or is not made. */
export const LISTED_WITHIN_MS = 5000

/**
 * Budgets that the hold names and this does not are no longer needed: what was held in them is free. One that this names
 * and the hold does not holds all that the call then holds.
 */
export type ExtendRequest = { requestId: string; amountNanoUsd: number; budgets: readonly BudgetRef[] }

/** `remainingNanoUsd` is what is left in the budget that was short. */
export type ExtendAnswer = { ok: true } | { ok: false; budgetId: string; remainingNanoUsd: number }

/**
 * Of a call that names a run a hold tells the budgets of that run and of those above it: they belong to what the call
 * extends and settles. It may also be refused because as much is under way as a concurrency limit allows, or because
 * there is no such run. `retryAfterMs` is told to a call that waited for a place, or would have had to for too long.
 */
export type HoldAnswer =
  | {
      ok: true
      runBudgets?: readonly BudgetRef[]
      /** Where the call has its place, and which targets have none and why, if places were asked for. */
      place?: string
      full?: readonly { target: string; limitId: string }[]
      /** What the isolate was left as it wished: all of the credit of this id that it has, or more of it. */
      credit?: Credit
    }
  | Exclude<ExtendAnswer, { ok: true }>
  | { ok: false; limitId: string; retryAfterMs?: number }
  | { ok: false; runId: string }

export type LedgerStatus = 'ok' | 'error' | 'aborted' | 'budget' | 'unknown'

/** A row of `usage_ledger`: append-only, unique by `request_id`, recomputable from its counts and `price_id`. */
export type LedgerRow = CallFacts & {
  id: string
  status: LedgerStatus
  prompt_tokens: number
  cached_tokens: number
  cache_write_tokens: number
  /** Those of them that are kept for an hour; an earlier release said nothing of it. */
  cache_write_1h_tokens?: number
  completion_tokens: number
  reasoning_tokens: number
  cost_nanos: number
  /** True when the counts are ours, not the vendor's. */
  estimated: boolean
  attempts: number
  latency_ms: number
  ttft_ms: number | null
  error_code: string | null
  stream: boolean
  /** Unix seconds. */
  created_at: number
}

/** Adds `amount` to one label set of a counter: `['helix_requests_total', 'provider="openai",status="ok"', 1]`. */
export type CounterIncrement = readonly [metric: string, labels: string, amount: number]

export type Settlement = {
  row: LedgerRow
  /** Hard and soft ones that the call counts in. */
  budgets: readonly BudgetRef[]
  /**
   * Tokens to add to (or take from) the token windows that admission charged, by Redis key, and how long such a window
   * matters. An earlier release, which knew minutes only, said nothing of the latter.
   */
  tokenCorrections: readonly { key: string; delta: number; ttlSeconds?: number }[]
  /** Counters of the whole platform that ride along; those of the call itself are worked out from its row. */
  counters: readonly CounterIncrement[]
  /** The row of the request that made the call: it is written together with the call's own. */
  request?: RequestRow | undefined
  /** Why it went where it went: written together with it, too. An earlier release said nothing of it. */
  decision?: DecisionRow | undefined
  /** What the call told of the targets that it asked. An earlier release said nothing of it. */
  measured?: readonly Measured[] | undefined
}

/**
 * A settlement on its way to the ledger. What only goes on from there is text already, in the words of Postgres and of
 * Redis, so that nobody on the way takes it apart and puts it together again.
 */
export type SettledCall = Pick<LedgerRow, 'request_id' | 'parent_request_id' | 'cost_nanos' | 'created_at'> &
  Pick<Settlement, 'budgets'> & {
    /** The row as JSON, with its `request`, `decision` and what was `measured`. */
    rowText: string
    /** `tokenCorrections` and `counters` as JSON. */
    correctionsText: string
    countersText: string
    /** Of a call that holds as a part of a credit; what was paid for on its way has drawn nothing by itself. */
    drawn?: Drawn
  }

/** The one authority on the money of an organisation. Throws `DependencyError('ledger')` when it cannot be reached. */
export type LedgerBooks = {
  /** Reserves the worst case in every budget at once, or nothing. */
  hold(request: HoldRequest): Promise<HoldAnswer>
  extend(request: ExtendRequest): Promise<ExtendAnswer>
  /**
   * Releases a hold whose call was never made; unknown ids do nothing. With `isLast` the call will not hold again: a
   * hold of it that is still on its way is refused when it arrives.
   */
  release(requestId: string, isLast?: boolean, drawn?: Drawn): Promise<void>
  /**
   * Books each of these calls once by request id, all in one write, whether or not it held; `false` for those that were
   * booked before, in their order.
   */
  settle(calls: readonly SettledCall[]): Promise<boolean[]>
  /** What each of these budgets has used, in their order. */
  spend(budgets: readonly BudgetRef[]): Promise<BudgetSpend[]>
  /**
   * The total of a day (`2026-01-31`, UTC) by the rows' own time, for forty days; undefined where it is not known in
   * whole.
   */
  settledOn(day: string): Promise<DayTotal | undefined>
  /** The budget of this run was made, changed or deleted: its next call reads it anew. */
  forgetRun(runId: string): Promise<void>
}

/** The ledger of an organisation for one isolate, which it may leave credit. */
export type OrgLedger = LedgerBooks & {
  /**
   * The request as one that draws on the credit of this isolate, where it has some: to hold it asks the ledger nothing.
   * It must be on Redis' list of open calls, or announced, before it costs anything.
   */
  draw(request: HoldRequest): HoldRequest
  /** Has a call that drew on credit hold by itself. Of any other it tells that it holds already. */
  announce(requestId: string): Promise<HoldAnswer>
}
