import type { Accounts } from './accounts.ts'
import type { Deps } from './context.ts'
import type { EnsembleConfig } from './ensemble.ts'
import type { BudgetRef, CallFacts } from './ledger.ts'
import type { Role } from './roles.ts'
import type { Figures, JudgedTargets, ModelMark, Priority, RoutingPolicy, TargetState } from './routing.ts'

/** Seconds that slide along, or a period of the UTC calendar. */
export type LimitWindow = number | 'day' | 'month'

/** How often or how much a subject may. */
export type Limit = {
  id: string
  /** Whom it binds: everybody's calls together in an organisation, those of a person, those of one key, or a provider. */
  subject: 'key' | 'org' | 'user' | 'provider'
  /** Of a provider: its name, or a `provider/model`. Such a limit takes targets away, and refuses who has none left. */
  target?: string | undefined
  /** `concurrency`: calls of models under way at once, counted by the ledger. The others are counted in Redis. */
  metric: 'requests' | 'tokens' | 'concurrency'
  algorithm: 'token_bucket' | 'sliding_window' | 'fixed_window' | 'concurrency'
  /** Absent for concurrency. */
  window?: LimitWindow | undefined
  /** Allowed in the window, or at once. */
  amount: number
  /** What a token bucket holds: requests that may come at once. */
  burst?: number | undefined
  /** `monitor` refuses nobody: what it would have refused is counted. */
  mode: 'enforce' | 'monitor'
}

/** Everything that governs one caller, compiled, and known by its version. */
export type Policy = {
  version: string
  orgId: string
  /** The credential's row: an API key's id, or a session's. */
  keyId: string
  /**
   * `user` and `operator` are signed-in people, for their organisation or as platform staff. `scraper` is the holder of
   * METRICS_TOKEN: it belongs to no organisation and may only read metrics.
   */
  kind: 'api_key' | 'user' | 'operator' | 'scraper'
  /** The person who is signed in or who made the key; a key made by the seed script has none. */
  userId?: string | undefined
  /** The agent whose key it is. */
  agentId?: string | undefined
  /** That person's role in the organisation now. */
  role?: Role | undefined
  mode: 'live' | 'test'
  /** Area scopes, already narrowed to the person's role, and a session's markers (`core/roles.ts`). */
  scopes: readonly string[]
  /** Addresses and blocks (CIDR) that the key may be used from; undefined allows every address. */
  allowedIps?: readonly string[] | undefined
  /** Undefined allows every model. Entries are names as a caller would ask for them. */
  allowedModels: readonly string[] | undefined
  /** Unix seconds. */
  expiresAt: number | undefined
  limits: readonly Limit[]
  /** Hard budgets only. */
  budgets: readonly BudgetRef[]
  /** Soft budgets. Records that were written by an earlier release have none. */
  watched?: readonly BudgetRef[] | undefined
  /** Accounts that the organisation has itself; absent when it has none. */
  accounts?: Accounts | undefined
  /** How its calls are routed; absent leaves that to the installation. Records of an earlier release have none. */
  routing?: RoutingPolicy | undefined
  /** Models that are out of use. Records of an earlier release have none. */
  marks?: readonly ModelMark[] | undefined
  /**
   * How good answers were that its organisation had judged: its own alone, so that nobody's judge moves another's order.
   * Absent when there were none. Records of an earlier release have none.
   */
  marked?: JudgedTargets | undefined
  /** What its organisation has said of ensembles; absent when nothing. */
  ensemble?: EnsembleConfig | undefined
}

/** Money to reserve before a call is made, in these budgets of its caller; none where only concurrency is limited. */
export type WantedHold = {
  facts: Omit<CallFacts, 'request_id' | 'org_id' | 'key_id' | 'user_id' | 'agent_id' | 'parent_request_id'>
  amountNanoUsd: number
  /** Unix milliseconds. */
  deadlineMs: number
  budgets: readonly BudgetRef[]
  /** Who goes first where the call has to wait for a place; `normal` unless said. */
  priority?: Priority | undefined
}

/** What a route wants to know or reserve at admission, worked out from the caller's policy and the request's body. */
export type Ask = {
  /** Tokens to take from the caller's token limits: input and expected output. */
  tokens: number
  /** Targets whose breaker state is wanted, as `vendor/model`. */
  candidates: readonly string[]
  /** What the breaker of each candidate goes by, where that is not its name: names of accounts are not unique. */
  breakers?: readonly string[] | undefined
  /** What was measured of each candidate is wanted, with the output to expect of this kind of task. */
  figures?: { taskType: string } | undefined
  /** Calls that are under way in this isolate at each candidate: what all isolates tell is added up in the figures. */
  busy?: { isolate: string; counts: readonly number[] } | undefined
  /** Redis key of a counter that moves on by one with every call that asks. */
  turn?: string | undefined
  /** Where an answer to the same question would be kept, and the stamp of the copy that this isolate has. */
  cache?: { key: string; index: string; held: string | undefined } | undefined
  /** Keys of what was kept of the conversation, already scoped to its organisation; the most wanted first. */
  vault?: readonly string[] | undefined
  /** The worst case, when a hard budget applies; admission adds who is asking. */
  hold?: WantedHold | undefined
}

/** The limit that leaves a target no room, and when it has some again in Unix milliseconds. */
export type UsedUp = { limitId: string; untilMs: number }

export type RateState = { limit: number; remaining: number; resetSeconds: number }

export type Admission = {
  policy: Policy
  /** True when money or a place is held under this request's id: the call must be settled or released. */
  held: boolean
  /** The run that the call is part of, and the budgets of it and of those above it, in which the call holds, too. */
  run?: { id: string; budgets: readonly BudgetRef[] } | undefined
  /** Targets whose breaker is open, with the time in Unix milliseconds at which it may be tried again. */
  openBreakers: ReadonlyMap<string, number>
  /** Targets that limits of their provider take away, with the time in Unix milliseconds at which they come back. */
  usedUp?: ReadonlyMap<string, UsedUp> | undefined
  /** Targets that a call may try, or that have no capacity: those of a state other than closed or open. */
  states?: ReadonlyMap<string, Exclude<TargetState, { kind: 'open' }>> | undefined
  /** Redis could not be asked how targets stand: what the isolate knows of them holds, however long it has known it. */
  statesUnknown?: true | undefined
  /** Absent where none were asked for. */
  figures?: ReadonlyMap<string, Figures> | undefined
  /** Of the counter that was asked to move on. */
  turn?: number | undefined
  /** What the call has held, in nano-USD; absent where nothing is. */
  heldNanoUsd?: number | undefined
  /** Ids of the budgets in which it is held, beside those of a run. */
  heldBudgets?: readonly string[] | undefined
  /** The answer that is kept; without a value the isolate's own copy is still the one. */
  cached: { stamp: string; value: string | undefined } | undefined
  /** What there is under the vault's keys, sealed as it was kept; absent where none was asked for. */
  vault?: ReadonlyMap<string, string> | undefined
  /**
   * Token windows that were charged, to be corrected at settlement by the real count, and how long they matter; with
   * the target if they are a provider's.
   */
  tokenCharges: readonly { key: string; tokens: number; ttlSeconds: number; target?: string }[]
  requests: RateState | undefined
  tokens: RateState | undefined
}

export type AdmissionRequest = {
  requestId: string
  /** The credential as sent, an API key or an access token; undefined when there was none. */
  credential: string | undefined
  ip: string
  /** The route's path as declared, and what it asks for. */
  path: string
  scope: string
  defer: (work: Promise<unknown>) => void
  /** Aborted when the caller hangs up: who waits for a place then waits no more. */
  signal?: AbortSignal | undefined
  /** Told who it was when a known caller is refused. */
  onRefused?: ((policy: Policy) => void) | undefined
}

/**
 * Decides who is asking and whether they may, in one network wait.
 * Throws 401, 403, 429 `AppError`s, and 503 when a store that must answer did not.
 */
export type Admit = {
  (deps: Deps, request: AdmissionRequest, ask: (policy: Policy) => Ask | Promise<Ask>): Promise<Admission>
  /** False for a credential that its look alone gives away: what comes with it is not worth reading. */
  mayBeKnown?(deps: Pick<Deps, 'settings'>, credential: string | undefined): boolean
}

/**
 * Holds those to a limit, by their address, who show no credential that could be one (`private`), and those who ask
 * routes that need none (`public`). Throws a 429 `AppError`.
 */
export type Strangers = (deps: Deps, visit: { ip: string; door: 'private' | 'public' }) => Promise<void>
