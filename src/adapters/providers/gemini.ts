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
import type { Outbound } from '../../core/outbound.ts'
import { countsOf } from '../../core/usage.ts'
import { createChatStream } from './chat-stream.ts'
import { geminiCompletion } from './gemini-answer.ts'
import { geminiErrorFacts } from './gemini-errors.ts'
import { fetchImages } from './gemini-images.ts'
import { batchVectors, listedPage } from './gemini-models.ts'
import { geminiChatRequest } from './gemini-request.ts'
import { createGeminiDecoder } from './gemini-stream.ts'
import { countOf, isObject, type JsonObject, parseJson } from './json-shape.ts'
import { inexpressible, isNeutral, refuseLoss } from './neutral.ts'
import { errorInsteadOfStream } from './openai-stream.ts'
import { readText } from './upstream-body.ts'
import { fetchJson, LISTING_MAX_BYTES, sendUpstream, type Upstream } from './upstream-http.ts'

/** An error document in place of a stream is small; a page of HTML is not worth more than this either. */
const DOCUMENT_MAX_BYTES = 1024 * 1024
/** More requests in one batch are refused. */
const EMBED_BATCH = 100
const MODELS_PAGE = 1000
/** A list that never ends is no list. */
const MAX_PAGES = 20

/** Every other field of an embeddings body is reported as ignored. */
const embeddingFields: ReadonlySet<string> = new Set(['model', 'input', 'dimensions', 'encoding_format'])

export type GeminiOptions = {
  name: string
  /** With or without `/v1beta` at its end; that of Google's OpenAI-compatible interface does as well. */
  baseUrl: string
  apiKey: string
  /** Reaches the vendor, and with the purpose `public` the images that callers name by address. */
  outbound: Outbound
  timeouts: Timeouts
  /** Bounds `totalMs` for answers that are not streamed. */
  wholeTotalMs: number
  /** Unix milliseconds. */
  now?: () => number
}

/** A vendor that speaks `generateContent` (ai.google.dev/api). Throws `Error` when the key cannot be a header. */
export function createGemini(options: GeminiOptions): Provider {
  const { name, outbound, timeouts, wholeTotalMs, now = Date.now } = options
  const apiKey = options.apiKey.trim()
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new Error(`The API key of ${name} has characters that no header can carry.`)
  const upstream: Upstream = {
    name,
    outbound,
    purpose: 'vendor',
    baseUrl: versionedBase(options.baseUrl),
    headers: { 'x-goog-api-key': apiKey },
    secret: apiKey,
    errorFacts: geminiErrorFacts,
    now,
  }
  const wholeTimeouts = (given: Timeouts) => ({ ...given, totalMs: Math.min(given.totalMs, wholeTotalMs) })

  async function chat(call: ChatCall): Promise<ChatAnswer> {
    const deadlineMs = now() + call.timeouts.totalMs
    const { body, ignored } = await prepared(call)
    const left = { ...call.timeouts, totalMs: Math.max(1, deadlineMs - now()) }
    const { signal, model } = call
    if (call.body.stream === true) {
      const path = `${pathOf(model)}:streamGenerateContent?alt=sse`
      const answer = await sendUpstream(upstream, { path, body, signal, timeouts: left, expect: 'stream' })
      if (/json|html/.test(answer.contentType)) {
        throw errorInsteadOfStream(upstream, parseJson(await readText(answer.body, DOCUMENT_MAX_BYTES)))
      }
      const stream = createChatStream(answer.body, createGeminiDecoder({ upstream, model }))
      return { kind: 'stream', stream, ignored }
    }
    const path = `${pathOf(model)}:generateContent`
    const parsed = await fetchJson(upstream, { path, body, signal, timeouts: wholeTimeouts(left), expect: 'whole' })
    const completion = geminiCompletion(parsed, { upstream, model })
    return { kind: 'whole', completion, usage: completion.usage ? countsOf(completion.usage) : undefined, ignored }
  }

  /** The body that is sent, with its images in it. */
  async function prepared(call: ChatCall): Promise<{ body: JsonObject; ignored: string[] }> {
    const { body, ignored, images } = geminiChatRequest({ ...call, model: bareName(call.model) })
    refuseLoss(name, call, ignored)
    if (images.length > 0) {
      const { signal, timeouts } = call
      await fetchImages(images, { outbound, signal, withinMs: timeouts.totalMs })
    }
    return { body, ignored }
  }

  async function countTokens(call: ChatCall): Promise<number> {
    const { signal, model } = call
    const { body } = await prepared(call)
    const generateContentRequest = { model: `models/${bareName(model)}`, ...body }
    const request = { path: `${pathOf(model)}:countTokens`, body: { generateContentRequest }, signal }
    const parsed = await fetchJson(upstream, { ...request, timeouts: wholeTimeouts(call.timeouts), expect: 'whole' })
    const total = isObject(parsed) ? countOf(parsed.totalTokens) : undefined
    if (total === undefined) throw new UpstreamError('garbage', `${name} did not count the tokens.`)
    return total
  }

  async function embed(call: EmbedCall): Promise<EmbedAnswer> {
    const ignored = Object.entries(call.body).flatMap(([field, value]) =>
      embeddingFields.has(field) || isNeutral(field, value) ? [] : [field],
    )
    refuseLoss(name, call, ignored)
    const texts = textsOf(call.body.input)
    const vectors: number[][] = []
    let promptTokens: number | undefined = 0
    const deadlineMs = now() + wholeTimeouts(call.timeouts).totalMs
    for (let start = 0; start < texts.length; start += EMBED_BATCH) {
      const batch = texts.slice(start, start + EMBED_BATCH)
      const answer = await embedBatch(
        { ...call, timeouts: { ...call.timeouts, totalMs: Math.max(1, deadlineMs - now()) } },
        batch,
      )
      vectors.push(...batchVectors(answer, batch.length))
      const counted = isObject(answer.usageMetadata) ? countOf(answer.usageMetadata.promptTokenCount) : undefined
      promptTokens = promptTokens === undefined || counted === undefined ? undefined : promptTokens + counted
    }
    return { vectors, promptTokens, ignored }
  }

  async function embedBatch({ model, body, signal, timeouts }: EmbedCall, texts: string[]): Promise<JsonObject> {
    const size = body.dimensions === undefined ? {} : { outputDimensionality: body.dimensions }
    const requests = texts.map((text) => ({
      model: `models/${bareName(model)}`,
      content: { parts: [{ text }] },
      ...size,
    }))
    const path = `${pathOf(model)}:batchEmbedContents`
    const answer = await fetchJson(upstream, { path, body: { requests }, signal, timeouts, expect: 'whole' })
    if (!isObject(answer)) throw new UpstreamError('garbage', `${name} sent something that is no list of vectors.`)
    return answer
  }

  async function listModels(signal: AbortSignal): Promise<ListedModel[]> {
    const listed: ListedModel[] = []
    let token: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const path = `/models?pageSize=${MODELS_PAGE}${token === undefined ? '' : `&pageToken=${encodeURIComponent(token)}`}`
      const asked = { path, signal, timeouts: wholeTimeouts(timeouts), expect: 'whole' } as const
      const request = { ...asked, maxBytes: LISTING_MAX_BYTES }
      const { models, next } = listedPage(await fetchJson(upstream, request))
      listed.push(...models)
      token = next
      if (token === undefined) break
    }
    return listed
  }

  return { name, kind: 'vendor', timeouts, wire: 'gemini', chat, countTokens, embed, listModels }
}

/** `https://host` and `https://host/v1beta/openai` both come to `https://host/v1beta`. */
function versionedBase(given: string): string {
  const base = given.replace(/\/+$/, '').replace(/\/openai$/, '')
  return /\/v\d+(?:(?:alpha|beta)\d*)?$/.test(base) ? base : `${base}/v1beta`
}

const bareName = (model: string): string => model.replace(/^models\//, '')

/** Whatever a name has in it, it stays one segment: neither another path nor another method. */
const pathOf = (model: string): string => `/models/${encodeURIComponent(bareName(model).toWellFormed())}`

function textsOf(input: EmbedCall['body']['input']): string[] {
  const list: readonly unknown[] = typeof input === 'string' ? [input] : input
  const texts = list.filter((item) => typeof item === 'string')
  if (texts.length === list.length) return texts
  throw inexpressible('This model takes text, not token numbers.', 'input')
}
