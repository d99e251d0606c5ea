import {
  type ChatAnswer,
  type ChatCall,
  type ChatStream,
  type EmbedAnswer,
  type EmbedCall,
  type ListedModel,
  type Provider,
  type Timeouts,
  UpstreamError,
} from '../../core/models.ts'
import type { Outbound } from '../../core/outbound.ts'
import { countsOf } from '../../core/usage.ts'
import { anthropicCompletion } from './anthropic-answer.ts'
import { mappedFailure, reportedFailure } from './anthropic-errors.ts'
import { modelPage } from './anthropic-listing.ts'
import { countedBody, nativeCall } from './anthropic-native.ts'
import { type Expected, type MaxOutputOf, messagesRequest } from './anthropic-request.ts'
import { createAnthropicDecoder } from './anthropic-stream.ts'
import { createChatStream } from './chat-stream.ts'
import { countOf, isObject, type JsonObject, objectsOf, parseJson } from './json-shape.ts'
import { inexpressible, refuseLoss } from './neutral.ts'
import { readText } from './upstream-body.ts'
import { fetchJson, LISTING_MAX_BYTES, sendUpstream, type Upstream, type UpstreamRequest } from './upstream-http.ts'

const API_VERSION = '2023-06-01'
const DOCUMENT_MAX_BYTES = 1024 * 1024
const PAGE_MODELS = 1000
/** A list that never ends is a broken one. */
const MOST_PAGES = 20

export type AnthropicOptions = {
  name: string
  /** With or without `/v1`; a slash at its end does not matter. */
  baseUrl: string
  apiKey: string
  outbound: Outbound
  timeouts: Timeouts
  /** Bounds `totalMs` for answers that are not streamed. */
  wholeTotalMs: number
  /** What a model can write at most, for callers and calls that set no limit: this wire wants one. */
  maxOutputOf?: MaxOutputOf
  /** Unix milliseconds. */
  now?: () => number
}

type Prepared = {
  body: JsonObject
  headers: Readonly<Record<string, string>>
  ignored: readonly string[]
  expected: Expected
  isNative: boolean
}

/**
 * A vendor that speaks Anthropic's Messages wire (platform.claude.com/docs/en/api/messages). A caller's own request in
 * this wire is sent on as it is. Throws `Error` when the key cannot be a header.
 */
export function createAnthropic(options: AnthropicOptions): Provider {
  const { name, timeouts, wholeTotalMs, maxOutputOf = () => undefined, now = Date.now } = options
  const apiKey = options.apiKey.trim()
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new Error(`The API key of ${name} has characters that no header can carry.`)
  const upstream: Upstream = {
    name,
    outbound: options.outbound,
    purpose: 'vendor',
    baseUrl: options.baseUrl.replace(/\/+$/, '').replace(/\/v1$/, ''),
    headers: { 'x-api-key': apiKey, 'anthropic-version': API_VERSION },
    secret: apiKey,
    now,
  }
  const wholeTimeouts = (given: Timeouts) => ({ ...given, totalMs: Math.min(given.totalMs, wholeTotalMs) })

  function prepare(call: ChatCall): Prepared {
    const native = nativeCall(call, maxOutputOf)
    if (native !== undefined)
      return { ...native, expected: { customTools: new Set(), toolIds: asGiven }, isNative: true }
    return { ...messagesRequest(call, maxOutputOf), headers: {}, isNative: false }
  }

  async function chat(call: ChatCall): Promise<ChatAnswer> {
    const prepared = prepare(call)
    const { body, headers, ignored, expected, isNative } = prepared
    refuseLoss(name, call, ignored)
    if (body.stream === true) return { kind: 'stream', stream: await openStream(call, prepared), ignored }
    const { signal } = call
    const request = { path: '/v1/messages', body, headers, signal, timeouts: wholeTimeouts(call.timeouts) }
    const answer = await askWhole(request)
    const completion = anthropicCompletion(answer, call.model, expected)
    const usage = completion.usage ? countsOf(completion.usage) : undefined
    return { kind: 'whole', completion, usage, ignored, ...(isNative && isObject(answer) ? { native: answer } : {}) }
  }

  async function openStream(call: ChatCall, { body, headers, expected, isNative }: Prepared): Promise<ChatStream> {
    const { model, signal } = call
    const request = { path: '/v1/messages', body, headers, signal, timeouts: call.timeouts, expect: 'stream' } as const
    const answer = await mapped(sendUpstream(upstream, request))
    if (/json|html/.test(answer.contentType)) {
      throw insteadOfStream(parseJson(await readText(answer.body, DOCUMENT_MAX_BYTES)))
    }
    return createChatStream(answer.body, createAnthropicDecoder({ upstream, model, expected, native: isNative }))
  }

  function insteadOfStream(parsed: unknown): UpstreamError {
    const [first] = Array.isArray(parsed) ? objectsOf(parsed) : [parsed]
    if (isObject(first) && isObject(first.error)) return reportedFailure(upstream, first)
    return new UpstreamError('garbage', `${name} answered with a document, not with a stream.`)
  }

  const askWhole = (request: Omit<UpstreamRequest, 'expect'>): Promise<unknown> =>
    mapped(fetchJson(upstream, { ...request, expect: 'whole' }))

  /** Whatever fails does so in the gateway's words. */
  async function mapped<Result>(work: Promise<Result>): Promise<Result> {
    try {
      return await work
    } catch (failure) {
      throw failure instanceof UpstreamError ? mappedFailure(failure) : failure
    }
  }

  async function countTokens(call: ChatCall): Promise<number> {
    const { body, headers } = prepare(call)
    const counted = await askWhole({
      path: '/v1/messages/count_tokens',
      body: countedBody(body),
      headers,
      signal: call.signal,
      timeouts: wholeTimeouts(call.timeouts),
    })
    const tokens = isObject(counted) ? countOf(counted.input_tokens) : undefined
    if (tokens === undefined) throw new UpstreamError('garbage', `${name} counted no tokens.`)
    return tokens
  }

  async function listModels(signal: AbortSignal): Promise<ListedModel[]> {
    const models: ListedModel[] = []
    let after = ''
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const path = `/v1/models?limit=${PAGE_MODELS}${after}`
      const page = modelPage(
        await askWhole({ path, signal, timeouts: wholeTimeouts(timeouts), maxBytes: LISTING_MAX_BYTES }),
      )
      models.push(...page.models)
      if (page.nextAfter === undefined) return models
      after = `&after_id=${encodeURIComponent(page.nextAfter)}`
    }
    throw new UpstreamError('garbage', `${name} lists more than ${MOST_PAGES} pages of models.`)
  }

  const embed = (_call: EmbedCall): Promise<EmbedAnswer> =>
    Promise.reject(inexpressible(`${name} has no embeddings.`, 'model'))

  return { name, kind: 'vendor', wire: 'anthropic', timeouts, chat, embed, listModels, countTokens }
}

/** In a native request nothing was renamed. */
const asGiven: Expected['toolIds'] = { given: (sent) => sent }
