import {
  type ChatAnswer,
  type ChatCall,
  type EmbedAnswer,
  type EmbedCall,
  type ListedModel,
  type Provider,
  type Timeouts,
  UpstreamError,
} from '../../core/models.ts'
import type { NodeCredential, NodeFacts } from '../../core/node.ts'
import type { Outbound } from '../../core/outbound.ts'
import { countsOf } from '../../core/usage.ts'
import { createChatStream } from './chat-stream.ts'
import { jsonBytes } from './json-bytes.ts'
import { countOf, isObject, type JsonObject, objectsOf } from './json-shape.ts'
import { inexpressible, isNeutral, refuseLoss } from './neutral.ts'
import { createNodeSend, openedWith } from './node-send.ts'
import { ollamaCompletion } from './ollama-answer.ts'
import { embeddedVectors, taggedModels, withShown } from './ollama-models.ts'
import { ollamaChatRequest } from './ollama-request.ts'
import { createOllamaDecoder } from './ollama-stream.ts'
import { newCompletionId } from './openai-message.ts'
import { fetchJson, LISTING_MAX_BYTES, sendUpstream, type Upstream } from './upstream-http.ts'

/** A larger batch keeps a small card busy for so long that chats beside it stall. */
const EMBED_BATCH = 64
/** What an older server leaves out is asked for model by model: so many side by side, and no more of a longer list. */
const SHOW_BATCH = 4
const MOST_SHOWN = 100

/** An isolate has 128 MB for all its calls, and no honest answer of a node is as long. */
const MOST_ANSWER_BYTES = 16 * 1024 * 1024

/** Every other field of an embeddings body is reported as ignored. */
const embeddingFields: ReadonlySet<string> = new Set(['model', 'input', 'dimensions', 'encoding_format'])

/** A node sends nothing while it loads a model, which takes minutes for a large one from a slow disk. */
export const nodeTimeouts: Timeouts = { connectMs: 10_000, firstByteMs: 120_000, idleMs: 60_000, totalMs: 300_000 }

export type OllamaOptions = {
  name: string
  /** Without `/api`; a slash at its end does not matter. */
  baseUrl: string
  /** For a node behind a tunnel that asks for a bearer token. */
  nodeToken?: string | undefined
  /** The same where its tunnel asks for something else. */
  credential?: NodeCredential | undefined
  /** Of a node of the team's own: what it is. */
  node?: NodeFacts | undefined
  /** Calls that it takes at once; undefined for as many as there are. */
  maxConcurrency?: number | undefined
  outbound: Outbound
  /** `account` for an address that an organisation named. */
  purpose?: 'node' | 'account'
  timeouts?: Timeouts
  /** Unix milliseconds. */
  now?: () => number
}

/** A node that speaks Ollama's own wire. Throws `Error` when the token cannot be a header. */
export function createOllama(options: OllamaOptions): Provider {
  const { name, baseUrl, outbound, purpose = 'node', node, timeouts = nodeTimeouts, now = Date.now } = options
  const token = options.nodeToken?.trim()
  const { headers, secrets } = openedWith(name, options.credential ?? (token ? { type: 'bearer', token } : undefined))
  const send = createNodeSend({ endpoints: node?.endpoints ?? { baseUrl }, headers, outbound, purpose })
  const upstream: Upstream = {
    name,
    outbound,
    purpose: 'node',
    baseUrl,
    headers: {},
    send: (request) => send({ server: 'ollama', ...request }),
    secret: secrets,
    now,
  }
  /** Of the models that the node listed last: bounds what context we may ask for. */
  const contextWindows = new Map<string, number>()

  async function chat(call: ChatCall): Promise<ChatAnswer> {
    const { body, ignored } = ollamaChatRequest(call, call.contextWindow ?? windowOf(call.model))
    refuseLoss(name, call, ignored)
    const hasImages = objectsOf(body.messages).some(({ images }) => images !== undefined)
    const sent = hasImages ? jsonBytes(body) : body
    const request = { path: '/api/chat', body: sent, signal: call.signal, timeouts: call.timeouts }
    if (call.body.stream === true) {
      const answer = await sendUpstream(upstream, { ...request, expect: 'stream', headers: { accept: '*/*' } })
      const decoder = createOllamaDecoder({ upstream, model: call.model })
      return { kind: 'stream', stream: createChatStream(answer.body, decoder), ignored }
    }
    const line = await fetchJson(upstream, { ...request, expect: 'whole', maxBytes: MOST_ANSWER_BYTES })
    if (!isObject(line) || line.done !== true || !isObject(line.message)) {
      throw new UpstreamError('garbage', `${name} sent something that is no chat answer.`)
    }
    const completion = ollamaCompletion(line, { id: newCompletionId(), model: call.model })
    return { kind: 'whole', completion, usage: completion.usage ? countsOf(completion.usage) : undefined, ignored }
  }

  /** A name without a tag means the tag `latest`. */
  const windowOf = (model: string) => contextWindows.get(model) ?? contextWindows.get(`${model}:latest`)

  async function embed(call: EmbedCall): Promise<EmbedAnswer> {
    const ignored = Object.entries(call.body).flatMap(([field, value]) =>
      embeddingFields.has(field) || isNeutral(field, value) ? [] : [field],
    )
    refuseLoss(name, call, ignored)
    const texts = textsOf(call.body.input)
    const vectors: number[][] = []
    let promptTokens: number | undefined = 0
    const deadlineMs = now() + call.timeouts.totalMs
    for (let start = 0; start < texts.length; start += EMBED_BATCH) {
      const input = texts.slice(start, start + EMBED_BATCH)
      const leftMs = Math.max(1, deadlineMs - now())
      const answer = await embedBatch({ ...call, timeouts: { ...call.timeouts, totalMs: leftMs } }, input)
      vectors.push(...embeddedVectors(answer, input.length))
      const counted = countOf(answer.prompt_eval_count)
      promptTokens = promptTokens === undefined || counted === undefined ? undefined : promptTokens + counted
    }
    return { vectors, promptTokens, ignored }
  }

  async function embedBatch({ model, body, signal, timeouts }: EmbedCall, input: string[]): Promise<JsonObject> {
    const { dimensions } = body
    const request = { model, input, truncate: false, ...(dimensions === undefined ? {} : { dimensions }) }
    const asked = { path: '/api/embed', body: request, signal, timeouts, expect: 'whole' } as const
    const answer = await fetchJson(upstream, { ...asked, maxBytes: MOST_ANSWER_BYTES })
    if (!isObject(answer)) throw new UpstreamError('garbage', `${name} sent something that is no list of vectors.`)
    return answer
  }

  async function listModels(signal: AbortSignal): Promise<ListedModel[]> {
    const request = { path: '/api/tags', signal, timeouts, expect: 'whole', maxBytes: LISTING_MAX_BYTES } as const
    const tagged = taggedModels(await fetchJson(upstream, request))
    const models = tagged.map(({ model }) => model)
    const unclear = tagged.flatMap(({ complete }, at) => (complete ? [] : [at])).slice(0, MOST_SHOWN)
    for (let start = 0; start < unclear.length; start += SHOW_BATCH) {
      const batch = unclear.slice(start, start + SHOW_BATCH)
      await Promise.all(
        batch.map(async (at) => {
          const model = models[at]
          if (model) models[at] = await shown(model, signal)
        }),
      )
    }
    contextWindows.clear()
    for (const model of models) {
      if (model.contextWindow !== undefined) contextWindows.set(model.name, model.contextWindow)
    }
    return models
  }

  /** A model that cannot be shown is still there; only what it can do stays unknown. */
  async function shown(model: ListedModel, signal: AbortSignal): Promise<ListedModel> {
    const asked = { path: '/api/show', body: { model: model.name }, signal, timeouts, expect: 'whole' } as const
    const request = { ...asked, maxBytes: LISTING_MAX_BYTES }
    const answer = await fetchJson(upstream, request).catch(() => undefined)
    return withShown(model, answer)
  }

  const { maxConcurrency } = options
  return {
    name,
    kind: 'node',
    timeouts,
    maxConcurrency,
    ...(node && { node: { ...node, send } }),
    chat,
    embed,
    listModels,
  }
}

function textsOf(input: EmbedCall['body']['input']): string[] {
  const list: readonly unknown[] = typeof input === 'string' ? [input] : input
  const texts = list.filter((item) => typeof item === 'string')
  if (texts.length === list.length) return texts
  throw inexpressible('This model takes text, not token numbers.', 'input')
}
