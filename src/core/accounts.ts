/** Providers that an organisation has accounts of its own with, as a policy carries them. */

import type { NodeLimits } from './node.ts'

export type AccountKind = 'openai_compatible' | 'anthropic' | 'gemini' | 'ollama'

/** What an organisation said of a model that its account serves. Prices are nano-USD per 1,000,000 tokens. */
export type AccountModel = {
  name: string
  /** What the provider takes in a request, where that is another name. */
  upstreamName?: string | undefined
  kind: 'chat' | 'embedding'
  contextWindow?: number | undefined
  maxOutputTokens?: number | undefined
  capabilities?: readonly string[] | undefined
  /** `id` is `prv_…/model@hash`: it changes when a figure does. Absent when nobody told a price. */
  price?: { id: string; base: { input: number; cachedInput: number; cacheWrite: number; output: number } } | undefined
}

/** A key of an account, sealed; times in Unix seconds. */
export type AccountCredential = {
  id: string
  sealed: string
  /** The provider refused it: until then it is not used. */
  cooldownUntil?: number | undefined
  updatedAt: number
}

/** How an account departs from the wire it speaks: fields under another name, and fields that it refuses. */
export type AccountQuirks = { rename?: Record<string, string> | undefined; omit?: string[] | undefined }

export type AccountSpec = {
  /** The row's: `prv_…`. */
  id: string
  name: string
  kind: AccountKind
  baseUrl: string
  /** The vendor of the catalog whose models and prices it has. */
  vendor?: string | undefined
  models: readonly AccountModel[]
  timeoutMs: number
  connectTimeoutMs: number
  maxRetries: number
  /** Calls at once; absent for as many as there are. */
  maxConcurrency?: number | undefined
  quirks: AccountQuirks
  /** In the order in which they are tried. */
  credentials: readonly AccountCredential[]
  /** Of a registered node. */
  node?: AccountNode | undefined
}

/** What a registered node has beside its Ollama. */
export type AccountNode = {
  speechUrl?: string | undefined
  agentUrl?: string | undefined
  limits: NodeLimits
  /** Takes no new work. */
  isDraining: boolean
}

/** Everything of an organisation's own accounts that a call needs, so that none has to ask Postgres for it. */
export type Accounts = {
  orgId: string
  /** In order of preference. */
  providers: readonly AccountSpec[]
  /** The data keys that the credentials are sealed with, each wrapped with a key that only the Worker holds. */
  dataKeys: readonly { version: number; wrapped: string }[]
}

/** What an isolate knows of an account, as routing sees it. */
export type Account = {
  id: string
  vendor: string | undefined
  models: readonly AccountModel[]
  maxRetries: number
  /** How many of its credentials may be used now. */
  usable: () => number
  /** From when on one of its credentials may be used, Unix ms; undefined when one may be used now. */
  readyAtMs: () => number | undefined
}
