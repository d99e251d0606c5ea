import type { Accounts } from './accounts.ts'
import type { DecisionRow } from './decision.ts'
import type { SettledCall } from './ledger.ts'
import type { ListedModel, Provider } from './models.ts'
import type { NodeRuns, NodeState } from './node.ts'
import type { RequestRow } from './request-log.ts'
import type { Figures } from './routing.ts'

/** An organisation's data key, ready for use; the runtime does not give its bytes out. Times in Unix seconds and ms. */
export type DataKey = { key: CryptoKey; version: number; createdAt: number; readMs: number }

/** A published signing key, ready to verify with; nothing that it signed is taken after `notAfter` (Unix seconds). */
export type PublishedKey = {
  kid: string
  jwk: Readonly<Record<string, string>>
  key: CryptoKey
  notAfter: number | null
}

/** The signing keys that this isolate knows. Times in Unix ms, 0 for never. */
export type PublishedKeys = {
  byKid: ReadonlyMap<string, PublishedKey>
  /** When they were read, when that was last tried, and when it was last done for a key that nobody knew. */
  readMs: number
  triedMs: number
  soughtMs: number
  /** The last try had no answer. */
  isBehind: boolean
}

/** What another issuer has published, or that it could not be had. Times in Unix ms. */
export type IssuerKeys = {
  /** Public keys as JSON, one array; undefined when there was never an answer. */
  keys: string | undefined
  fetchedMs: number
  triedMs: number
  /** The last try had no answer, or none yet. */
  isBehind: boolean
}

/** What a model signed of one message, as JSON; forgotten at `untilMs` (Unix ms). */
export type RememberedSignatures = { text: string; bytes: number; untilMs: number }

/**
 * What this isolate has seen of a target, by ten seconds of the last minute: slot `n % 6` is of the ten seconds `n`, and
 * `bucket` the newest. Times are Unix ms, 0 for never.
 */
export type SeenTarget = {
  bucket: number
  calls: number[]
  /** Times that a call asked it again. */
  repeats: number[]
  /** Calls that went well and that the other isolates have not been told of; and whether there was any, however long ago. */
  good: number[]
  wasGood: boolean
  /** In a row, as this isolate sees them: failures, and refusals for want of capacity. */
  failures: number
  refusals: number
  /** What Redis knew when it was last told something, and when that was. */
  openUntilMs: number
  coolUntilMs: number
  notedMs: number
  /** What this isolate goes by until Redis has answered. */
  own: { openUntilMs: number; coolUntilMs: number }
  /** Words to Redis that are under way, and false while it does not know what this isolate does, or could not be told. */
  telling: number
  isTold: boolean
}

/** An isolate's own copy of a kept answer, as JSON, of the writing that `stamp` names; forgotten at `untilMs` (Unix ms). */
export type RememberedAnswer = { stamp: string; text: string; untilMs: number }

/** Settlements that go to the ledger together, not before `dueMs` (Unix ms). */
export type Gathering = { waiting: SettledCall[] | undefined; dueMs: number }

/** Rows of one organisation that wait for the log of requests, with the decisions behind them, and how many more were let go. */
export type WaitingRequests = { rows: RequestRow[]; decisions: DecisionRow[]; leftOut: number; dueMs: number }

/**
 * What one isolate remembers between requests: values only (a promise or a stream must not be shared between
 * requests on Workers), each of them a hint that a store can correct.
 */
export type Memory = {
  /** By what their breakers go by. */
  targets: Map<string, SeenTarget>
  /** What was last told of targets, by what their figures go by. */
  figures: Map<string, Figures>
  /** Calls under way in this isolate, likewise. */
  underWay: Map<string, number>
  /** What other isolates know this one by; undefined until one has to. */
  isolateId: string | undefined
  /** By provider, an account by its id: the models it listed, for providers that have no catalog. */
  listings: Map<
    string,
    {
      models: readonly ListedModel[]
      fetchedMs: number
      failed: boolean
      refreshing: boolean
      /** Of a node that is watched: what its watch told. */
      state?: NodeState | undefined
    }
  >
  /** Counter increments of refused calls, waiting for the next settlement to carry them. */
  tallies: Map<string, number>
  /** Unwrapped data keys by `<organisation>:<version>`, and the newest by `<organisation>:newest`. */
  dataKeys: Map<string, DataKey>
  signingKeys: PublishedKeys
  /** Of other issuers, by where their keys are looked for. */
  issuerKeys: Map<string, IssuerKeys>
  /** By account: what was made of it, and from which description. */
  accounts: Map<string, { madeFrom: string; provider: Provider }>
  /** Everything that callers of one policy can reach. */
  reach: WeakMap<Accounts, ReadonlyMap<string, Provider>>
  /** By credential of an account: until when it is not used, and when that was noted. Unix ms. */
  cooldowns: Map<string, { untilMs: number; notedMs: number }>
  /** By their keys in Redis, which are of one organisation each. */
  signatures: Map<string, RememberedSignatures>
  /** By their keys in Redis; what was used longest ago comes first. */
  answers: Map<string, RememberedAnswer>
  /** By organisation. */
  requests: Map<string, WaitingRequests>
  gatherings: Map<string, Gathering>
  /**
   * What a choice among the models of nodes went by, by who asked for what: how calls of them went, by `node/model`, as
   * long as the nodes are as they were (`digest`); forgotten at `untilMs` (Unix ms).
   */
  choices: Map<string, { digest: string; runs: ReadonlyMap<string, NodeRuns>; untilMs: number }>
}

export const createMemory = (): Memory => ({
  targets: new Map(),
  figures: new Map(),
  underWay: new Map(),
  isolateId: undefined,
  listings: new Map(),
  tallies: new Map(),
  dataKeys: new Map(),
  signingKeys: { byKid: new Map(), readMs: 0, triedMs: 0, soughtMs: 0, isBehind: false },
  issuerKeys: new Map(),
  accounts: new Map(),
  reach: new WeakMap(),
  cooldowns: new Map(),
  signatures: new Map(),
  answers: new Map(),
  requests: new Map(),
  gatherings: new Map(),
  choices: new Map(),
})
