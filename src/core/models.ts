/** Ports of the models a call can reach. Bodies are in OpenAI's shape; fields we do not know travel untouched. */

import type { Account, AccountKind, AccountQuirks } from './accounts.ts'
import type { NodeCredential, NodeFacts, NodeLink } from './node.ts'

export type ChatMessage = {
  role: string
  content?: unknown
  name?: string | undefined
  tool_calls?: unknown
  tool_call_id?: string | undefined
  [field: string]: unknown
}

export type ChatBody = {
  model: string
  messages: ChatMessage[]
  stream?: boolean | null | undefined
  n?: number | null | undefined
  max_tokens?: number | null | undefined
  max_completion_tokens?: number | null | undefined
  stream_options?: { include_usage?: boolean | undefined; [field: string]: unknown } | null | undefined
  [field: string]: unknown
}

/** Token counts of one call. `prompt` includes cached and cache-written tokens, `completion` includes reasoning. */
export type Usage = {
  prompt: number
  cached: number
  cacheWrite: number
  /** Of the cache-written ones, those that are kept for an hour; absent where nobody tells. */
  cacheWriteHour?: number | undefined
  completion: number
  reasoning: number
}

export type Timeouts = { connectMs: number; firstByteMs: number; idleMs: number; totalMs: number }

export type ChatCall = {
  requestId: string
  /** The vendor's own name of the model. */
  model: string
  /** The caller's body without our own extension fields. `model` in it is the name the caller asked for. */
  body: ChatBody
  /** The request as its caller sent it, where that was in a vendor's own wire: an adapter of that wire sends it on. */
  native?: NativeRequest | undefined
  /** Of the model, as its node's watch has seen it; undefined where nobody watches. */
  contextWindow?: number | undefined
  /** No more output tokens than this may be asked of the vendor; undefined leaves the caller's own wish. */
  maxOutputTokens?: number | undefined
  /** A body that this wire cannot express in full is refused before anything is sent. */
  strict?: boolean | undefined
  /** Aborting it ends the vendor's work. */
  signal: AbortSignal
  timeouts: Timeouts
}

/** A way in which bodies and streams are written. */
export type Wire = 'openai' | 'anthropic' | 'gemini' | 'ollama'

/** A request in the words of its own wire; whatever this wire knows and OpenAI's does not is in it. */
export type NativeRequest = {
  wire: Wire
  body: Readonly<Record<string, unknown>>
  /** Of the caller's headers, those that belong to the wire (`anthropic-beta`), by lower-case name. */
  headers?: Readonly<Record<string, string>> | undefined
}

/** An event of a vendor's own stream, as it was sent; `event` is empty where the wire does not name its events. */
export type NativeEvent = { event: string; data: string }

/**
 * One `data:` event in OpenAI's shape: the parsed chunk for our own reading, and its JSON text for the client. Of a
 * native request it also has what the vendor's stream said: the two say the same, and a part may have no chunk to show
 * (`choices` is empty). `counted` is what the vendor has counted up to here: the books need it where a stream breaks off,
 * and nobody else, for only the `usage` at its end counts everything.
 */
export type StreamPart = {
  chunk: ChatChunk
  json: string
  native?: readonly NativeEvent[] | undefined
  counted?: WireUsage | undefined
}

export type ChatChunk = {
  id?: string
  object?: string
  created?: number
  model?: string
  choices: ChunkChoice[]
  usage?: WireUsage | null
  [field: string]: unknown
}

export type ChunkChoice = {
  index: number
  delta: {
    role?: string
    content?: string | null
    refusal?: string | null
    tool_calls?: ToolCallDelta[]
    reasoning?: string | null
    reasoning_content?: string | null
    [field: string]: unknown
  }
  finish_reason?: string | null
  [field: string]: unknown
}

export type ToolCallDelta = {
  index: number
  id?: string
  type?: string
  function?: { name?: string; arguments?: string }
  [field: string]: unknown
}

/** OpenAI's `usage` object. */
export type WireUsage = {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details?: { cached_tokens?: number; [field: string]: unknown } | null
  completion_tokens_details?: { reasoning_tokens?: number; [field: string]: unknown } | null
  [field: string]: unknown
}

export type ChatCompletion = {
  id: string
  object: string
  created: number
  model: string
  choices: { index: number; message: ChatMessage; finish_reason: string | null; [field: string]: unknown }[]
  usage?: WireUsage | null
  [field: string]: unknown
}

/**
 * A vendor's stream, one batch a read: what had arrived when we looked. `undefined` is the vendor's own clean end
 * (`[DONE]`, `done:true`). Anything else that ends it throws `UpstreamError`: there is no silent end.
 */
export type ChatStream = {
  read(): Promise<readonly StreamPart[] | undefined>
  /** Ends the vendor's work; safe to call twice and after the end. */
  cancel(): void
}

/** `ignored`: fields of the body that this wire cannot express, reported to the caller in `x-helix-ignored-params`. */
export type ChatAnswer =
  | {
      kind: 'whole'
      completion: ChatCompletion
      usage: Usage | undefined
      ignored: readonly string[]
      /** Of a native request: the vendor's own answer, as parsed. */
      native?: Readonly<Record<string, unknown>> | undefined
    }
  | { kind: 'stream'; stream: ChatStream; ignored: readonly string[] }

export type EmbedBody = {
  model: string
  input: string | string[] | number[] | number[][]
  dimensions?: number | undefined
  encoding_format?: 'float' | 'base64' | undefined
  [field: string]: unknown
}

export type EmbedCall = Omit<ChatCall, 'body' | 'maxOutputTokens'> & { body: EmbedBody }

/** Vectors in input order. `promptTokens` is undefined when the vendor counts none. */
export type EmbedAnswer = { vectors: number[][]; promptTokens: number | undefined; ignored: readonly string[] }

export type ListedModel = {
  name: string
  capabilities?: readonly string[] | undefined
  contextWindow?: number | undefined
}

/** A vendor or a node that can answer. An adapter tries once: retries and fallback are dispatch's alone. */
export type Provider = {
  name: string
  kind: 'vendor' | 'node'
  timeouts: Timeouts
  /** What it speaks; OpenAI's wire unless said. */
  wire?: Wire | undefined
  /** Of an account that an organisation has itself; nobody else's calls reach it. */
  account?: Account | undefined
  /** Calls at once that it takes; undefined for as many as there are. Its gate keeps the others waiting. */
  maxConcurrency?: number | undefined
  /** Of a node of the team's own: how to reach its servers, and how many it lets work at once. */
  node?: NodeLink | undefined
  /** Throws `UpstreamError`. */
  chat(call: ChatCall): Promise<ChatAnswer>
  /** Throws `UpstreamError`. */
  embed(call: EmbedCall): Promise<EmbedAnswer>
  /** Input tokens that the call would be billed for, as the vendor itself counts them. Throws `UpstreamError`. */
  countTokens?(call: ChatCall): Promise<number>
  /** Models that this provider says it has. Throws `UpstreamError`. */
  listModels(signal: AbortSignal): Promise<ListedModel[]>
}

/** What a provider is made from that a row describes and not the environment. */
export type ProviderSpec = {
  name: string
  kind: AccountKind
  /** Without the path of an endpoint. A caller named it: it is reached through the guard. */
  baseUrl: string
  /** The vendor of the catalog whose ways it has. */
  vendor?: string | undefined
  /** Undefined for a node that asks for none. */
  apiKey: string | undefined
  /** Of a registered node: what it is, and what its tunnel is opened with instead of a key. */
  node?: { facts: NodeFacts; credential: NodeCredential | undefined } | undefined
  quirks: AccountQuirks
  timeouts: Timeouts
  /** Bounds `totalMs` for answers that are not streamed. */
  wholeTotalMs: number
}

/**
 * Why an upstream attempt failed.
 * connect: nothing was sent · timeout: sent, no (further) byte came · status: an HTTP error status ·
 * garbage: a 2xx that is not this wire (HTML, empty, malformed) · cut: the stream ended before its own end ·
 * reported: an error event or line inside a 2xx · aborted: we or the caller ended it ·
 * overloaded: nothing was sent, because it has as many calls as it takes
 */
export type UpstreamFault = 'connect' | 'timeout' | 'status' | 'garbage' | 'cut' | 'reported' | 'aborted' | 'overloaded'

/** A vendor's error body in OpenAI's shape; may be shown to the caller for client errors. */
export type VendorError = { message: string; type?: string | null; param?: string | null; code?: string | null }

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly fault: UpstreamFault
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined
  readonly vendor: VendorError | undefined
  /** The credential it failed with, where a provider has several. */
  credentialId: string | undefined

  constructor(
    fault: UpstreamFault,
    message: string,
    extra: {
      status?: number
      retryAfterMs?: number | undefined
      vendor?: VendorError | undefined
      cause?: unknown
    } = {},
  ) {
    super(message, { cause: extra.cause })
    this.fault = fault
    this.status = extra.status
    this.retryAfterMs = extra.retryAfterMs
    this.vendor = extra.vendor
  }
}
