import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Catalog } from './catalog.ts'
import type { Offered } from './offered.ts'
import type { Runners } from './runners.ts'

export type JsonObject = { [key: string]: unknown }

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export type Capability = 'completion' | 'tools' | 'insert' | 'vision' | 'embedding' | 'thinking' | 'audio'

export type ThinkLevel = 'low' | 'medium' | 'high' | 'max'

/** A call as the native API sends it: the arguments are an object, never a string. */
export type ToolCall = { id: string; function: { index: number; name: string; arguments: JsonObject } }

export type ToolSpec = { name: string; description: string; parameters: JsonObject }

export type ChatMessage = {
  role: string
  content: string
  images: readonly Buffer[]
  toolCalls: readonly { name: string; arguments: JsonObject }[]
  toolName: string | undefined
}

/** The servers of a node, each on a port of its own. */
export type ServerName = 'ollama' | 'speech' | 'agent'

/**
 * What a test wants one model, or one route, to do instead of (or on top of) its own answer. All of it applies to chat
 * and generate on both the native and the OpenAI-compatible routes; `refuse`, `html`, `answer` and `hang` apply
 * everywhere; delays, `pieces` and cuts to the speech server and the agent too.
 */
export type ScriptedReply = {
  /** Silence before the first byte of the answer. */
  firstTokenDelayMs?: number
  /** Between pieces; replaces the node's own delay. */
  pieceDelayMs?: number
  /** Status and error sent before the first byte. */
  refuse?: { status: number; message: string; headers?: Readonly<Record<string, string>> }
  /** An error line after this many pieces (a 500 when the answer is not streamed). */
  failAfter?: { pieces: number; message: string }
  /** Destroys the socket after this many pieces, or after this many bytes of body. */
  cutAfter?: { pieces: number } | { bytes: number }
  /** Goes silent for good after this many pieces; `before-headers` sends nothing at all. */
  hang?: 'before-headers' | { afterPieces: number }
  /** Answered with status 200 and `text/html`, as a captive portal or a misconfigured proxy does. */
  html?: string
  /** Sent as JSON with status 200 in place of the own answer. */
  answer?: unknown
  /** Sent exactly as given: one piece is one line on the wire and one token. */
  pieces?: readonly string[]
  thinking?: readonly string[]
  toolCalls?: readonly { name: string; arguments: JsonObject; id?: string }[]
  doneReason?: 'stop' | 'length'
  /** For a name outside the catalog; default `completion`, `tools`. */
  capabilities?: readonly Capability[]
}

/**
 * Replies by prefix of the model name as requested; the longest prefix wins. A list is used up one request at a time
 * and its last entry repeats. A key with a tag (`name:tag`) that the catalog lacks is offered as a model of its own.
 * A key such as `agent GET /metrics` is one route of a server, whatever the model: its faults come first.
 */
export type DemoScript = Readonly<Record<string, ScriptedReply | readonly ScriptedReply[]>>

/** A request that the node has seen. Header names are in lower case. */
export type SeenRequest = { server: ServerName; method: string; path: string; headers: IncomingMessage['headers'] }

export type NodeState = {
  catalog: Catalog
  offered: Offered
  /** Milliseconds until a model that is not in memory is there. */
  loadDelayMs(modelName: string): number
  /** Of the made-up card. */
  memoryMb: number
  seen: SeenRequest[]
  runners: Runners
  /** SHA-256 digests of uploaded blobs; the bytes themselves are not kept. */
  blobs: Set<string>
  chunkDelayMs: number
  maxBodyBytes: number
  counters: { requests: number; activeGenerations: number; abortedGenerations: number; answers: number }
  /** The scripted reply for this request; consumes one entry of a list. */
  scriptFor(modelName: string): ScriptedReply | undefined
  /** The same for a route: `ollama GET /api/tags`. */
  scriptForRoute(route: string): ScriptedReply | undefined
  nowMs(): number
}

/** One request being served. */
export type Exchange = {
  server: ServerName
  node: NodeState
  request: IncomingMessage
  response: ServerResponse
  /** Aborts when the client goes away before the answer is complete. */
  signal: AbortSignal
  /** Path parameter of the route, decoded. */
  parameter: string
}

export type Handler = (exchange: Exchange) => void | Promise<void>

/** What a path does, by method. */
export type Methods = Readonly<Record<string, Handler>>
