import type { WatchTarget } from './gate.ts'
import type { Priority } from './routing.ts'

/** What a node of the team's own is, what it has, and how it does. Everything here is plain data: it crosses objects. */

/** Kinds of work that a node bounds each on its own. `gpu_tasks` bounds all of them together. */
export const nodeClasses = ['chat', 'embed', 'vision', 'audio', 'gpu_workflows'] as const
export type NodeClass = (typeof nodeClasses)[number]
/** How many of each class, and of all classes together, a node runs at once. */
export type NodeLimits = Readonly<Record<NodeClass | 'gpu_tasks', number>>
export const DEFAULT_NODE_LIMITS: NodeLimits = {
  chat: 4,
  embed: 4,
  vision: 2,
  audio: 2,
  gpu_workflows: 1,
  gpu_tasks: 4,
}

export const nodeCapabilities = [
  'completion',
  'tools',
  'json',
  'thinking',
  'vision',
  'embedding',
  'image_embedding',
  'transcription',
  'translation',
  'diarization',
  'speech',
  'audio_classification',
  'audio_chat',
  'rerank',
] as const
export type NodeCapability = (typeof nodeCapabilities)[number]

/** Where it is known from that a model can do something; `name` is a guess, and used where nothing better is there. */
export type CapabilitySource = 'show' | 'list' | 'probe' | 'name'

/** Where a node serves: Ollama, and beside it what its organisation has set up. URLs without the path of an endpoint. */
export type NodeEndpoints = {
  /** Ollama. */
  baseUrl: string
  /** An OpenAI-compatible speech server. */
  speechUrl?: string | undefined
  /** The node's agent: GPU figures, and what is measured of sounds and pictures. */
  agentUrl?: string | undefined
}

/** A model that a node has. */
export type NodeModel = {
  name: string
  /** Which of the node's servers has it. */
  server: 'ollama' | 'speech' | 'agent'
  digest?: string | undefined
  family?: string | undefined
  parameterSize?: string | undefined
  quantization?: string | undefined
  sizeMb?: number | undefined
  contextLength?: number | undefined
  embeddingLength?: number | undefined
  capabilities: readonly NodeCapability[]
  capabilitySource: CapabilitySource
  modifiedAt?: number | undefined
}

/** A model that is in the memory of a node's cards. */
export type LoadedModel = { name: string; vramMb: number; untilMs: number | undefined }

export type NodeGpu = {
  count: number
  name: string
  memoryMb: number
  freeMb: number
  utilisation?: number | undefined
}

/** Why a node, or a call of it, failed. */
export type NodeFault =
  | 'tunnel_down'
  | 'auth'
  | 'model_missing'
  | 'out_of_memory'
  | 'timeout'
  | 'bad_output'
  /** The tunnel gave up waiting for a first byte (524): the model was most likely being loaded. */
  | 'tunnel_silence'
  | 'overloaded'

export type NodeHealth = 'healthy' | 'degraded' | 'unhealthy' | 'unknown'

/** What the watch over a node knows of it. */
export type NodeState = {
  health: NodeHealth
  /** Unix milliseconds of the last look; undefined before the first. */
  checkedAtMs: number | undefined
  /** Unix milliseconds of the last look that was answered. */
  seenAtMs: number | undefined
  fault: NodeFault | undefined
  version: string | undefined
  /** Of the last look that was answered. */
  latencyMs: number | undefined
  models: readonly NodeModel[]
  loaded: readonly LoadedModel[]
  gpu: NodeGpu | undefined
  /** Undefined where the node has none. */
  speech: { ok: boolean } | undefined
  agent: { ok: boolean; version: string | undefined } | undefined
  /** Calls inside, by class, and how many wait. */
  inFlight: Readonly<Partial<Record<NodeClass, number>>>
  waiting: number
}

/** What happened to the models of a node since they were listed before. */
export type ModelChanges = { added: string[]; removed: string[]; changed: string[] }

/** The node that the environment names: everybody's. */
export const SHARED_NODE_ID = 'node_00000000000000000000000000'

/** A place to be taken at a node for a piece of work. */
export type NodeWork = { class: NodeClass; priority?: Priority | undefined }

/** The servers of a node. */
export type NodeServer = 'ollama' | 'speech' | 'agent'

export type NodeRequest = {
  server: NodeServer
  method: 'GET' | 'POST' | 'DELETE'
  /** From the server's own root, as it is on the list of what may be asked: `/api/tags`. */
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** In place of `body`, what is too large to be held: read once, as the node takes it. */
  stream?: ReadableStream<Uint8Array>
  signal?: AbortSignal
  /** From now until the response's headers. */
  headersTimeoutMs: number
  /** Whoever asks keeps that time itself (see `OutboundRequest`). */
  keepsTime?: boolean
}

/** What a node's tunnel is opened with: a service token of Cloudflare Access, or a token of whatever stands before it. */
export type NodeCredential =
  | { type: 'service_token'; clientId: string; clientSecret: string }
  | { type: 'bearer'; token: string }

/**
 * The one way to a node: only methods and paths on the list pass, with the node's credential and nobody else's headers.
 * Throws `OutboundError` for what is not on the list and what the tunnel does, and `UpstreamError` for a credential that
 * cannot be opened.
 */
export type NodeSend = (request: NodeRequest) => Promise<Response>

/** What is known of a node before anybody asks it. */
export type NodeFacts = Omit<NodeLink, 'send'>

/** What a provider is that runs on a node. */
export type NodeLink = {
  /** `node_…`. */
  id: string
  /** The installation's own: everybody's calls may reach it. */
  isShared: boolean
  endpoints: NodeEndpoints
  limits: NodeLimits
  /** Takes no new work. */
  isDraining: boolean
  /** How the watch behind its gate reaches it. */
  watch: WatchTarget
  send: NodeSend
}

/** How calls of a model of a node went. `tokensPerSecond` and `meanTokens` are of answers that were generated. */
export type NodeRuns = {
  calls: number
  ok: number
  /** Of those that went well. */
  meanMs: number | undefined
  tokensPerSecond: number | undefined
  meanTokens: number | undefined
  /** Unix seconds of the last call. */
  lastAt: number
}
