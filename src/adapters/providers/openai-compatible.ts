import type {
  ChatAnswer,
  ChatCall,
  EmbedAnswer,
  EmbedCall,
  ListedModel,
  Provider,
  Timeouts,
} from '../../core/models.ts'
import type { Outbound } from '../../core/outbound.ts'
import { countsOf } from '../../core/usage.ts'
import type { VendorQuirks } from '../../core/vendors.ts'
import { createChatStream } from './chat-stream.ts'
import { countOf, isObject, type JsonObject, parseJson } from './json-shape.ts'
import { refuseLoss } from './neutral.ts'
import { openAiCompletion, openAiModels, openAiVectors } from './openai-answer.ts'
import { openAiChatRequest, openAiEmbedRequest } from './openai-request.ts'
import { createOpenAiDecoder, errorInsteadOfStream } from './openai-stream.ts'
import { readText } from './upstream-body.ts'
import { fetchJson, LISTING_MAX_BYTES, sendUpstream, type Upstream } from './upstream-http.ts'
import { normalUsage } from './usage.ts'

/** An error document in place of a stream is small; a page of HTML is not worth more than this either. */
const DOCUMENT_MAX_BYTES = 1024 * 1024

export type OpenAiCompatibleOptions = {
  name: string
  /** Without `/chat/completions`; a slash at its end does not matter. */
  baseUrl: string
  apiKey: string
  outbound: Outbound
  quirks: VendorQuirks
  timeouts: Timeouts
  /** Bounds `totalMs` for answers that are not streamed. */
  wholeTotalMs: number
  /** Unix milliseconds. */
  now?: () => number
}

/** A vendor that speaks OpenAI's wire. Throws `Error` when the key cannot be a header. */
export function createOpenAiCompatible(options: OpenAiCompatibleOptions): Provider {
  const { name, quirks, timeouts, wholeTotalMs, now = Date.now } = options
  // Pasted keys end in a newline, and a header with one fails inside `fetch` with a message that quotes the key.
  const apiKey = options.apiKey.trim()
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new Error(`The API key of ${name} has characters that no header can carry.`)
  const upstream: Upstream = {
    name,
    outbound: options.outbound,
    purpose: 'vendor',
    baseUrl: options.baseUrl.replace(/\/+$/, ''),
    headers: { authorization: `Bearer ${apiKey}` },
    secret: apiKey,
    now,
  }
  const wholeTimeouts = (given: Timeouts) => ({ ...given, totalMs: Math.min(given.totalMs, wholeTotalMs) })

  async function chat(call: ChatCall): Promise<ChatAnswer> {
    const { body, ignored } = openAiChatRequest(call, quirks)
    refuseLoss(name, call, ignored)
    if (call.body.stream === true) return { kind: 'stream', stream: await openStream(call, body), ignored }
    const completion = openAiCompletion(
      await fetchJson(upstream, {
        path: '/chat/completions',
        body,
        signal: call.signal,
        timeouts: wholeTimeouts(call.timeouts),
        expect: 'whole',
      }),
      call.model,
      quirks,
    )
    return { kind: 'whole', completion, usage: completion.usage ? countsOf(completion.usage) : undefined, ignored }
  }

  async function openStream({ signal, timeouts, model }: ChatCall, body: JsonObject) {
    const answer = await sendUpstream(upstream, { path: '/chat/completions', body, signal, timeouts, expect: 'stream' })
    if (/json|html/.test(answer.contentType)) {
      const text = await readText(answer.body, DOCUMENT_MAX_BYTES)
      throw errorInsteadOfStream(upstream, parseJson(text))
    }
    return createChatStream(answer.body, createOpenAiDecoder({ upstream, model, quirks, choices: countOf(body.n) }))
  }

  async function embed(call: EmbedCall): Promise<EmbedAnswer> {
    const { body, ignored } = openAiEmbedRequest(call, quirks)
    refuseLoss(name, call, ignored)
    const parsed = await fetchJson(upstream, {
      path: '/embeddings',
      body,
      signal: call.signal,
      timeouts: wholeTimeouts(call.timeouts),
      expect: 'whole',
    })
    const { input } = call.body
    const inputs = typeof input === 'string' || typeof input[0] === 'number' ? 1 : input.length
    const usage = isObject(parsed) ? normalUsage(parsed.usage) : undefined
    return { vectors: openAiVectors(parsed, inputs), promptTokens: usage?.prompt_tokens, ignored }
  }

  async function listModels(signal: AbortSignal): Promise<ListedModel[]> {
    const asked = { path: '/models', signal, timeouts: wholeTimeouts(timeouts), expect: 'whole' } as const
    const request = { ...asked, maxBytes: LISTING_MAX_BYTES }
    return openAiModels(await fetchJson(upstream, request))
  }

  return { name, kind: 'vendor', timeouts, chat, embed, listModels }
}
