import { createAnthropicDecoder } from '../../../src/adapters/providers/anthropic-stream.ts'
import type { PartDecoder } from '../../../src/adapters/providers/chat-stream.ts'
import { geminiErrorFacts } from '../../../src/adapters/providers/gemini-errors.ts'
import { createGeminiDecoder } from '../../../src/adapters/providers/gemini-stream.ts'
import { createOllamaDecoder } from '../../../src/adapters/providers/ollama-stream.ts'
import {
  createOpenAiCompatible,
  type OpenAiCompatibleOptions,
} from '../../../src/adapters/providers/openai-compatible.ts'
import { createOpenAiDecoder } from '../../../src/adapters/providers/openai-stream.ts'
import type { ChatBody, ChatCall, ChatStream, StreamPart, Timeouts } from '../../../src/core/models.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import type { Outbound, OutboundRequest } from '../../../src/core/outbound.ts'
import type { RecordedStream } from '../../support/streams.ts'

export const timeouts: Timeouts = { connectMs: 1000, firstByteMs: 2000, idleMs: 3000, totalMs: 30_000 }

export const apiKey = 'sk-test-0123456789abcdef'

export const decoderOf = (kind: RecordedStream['kind']): PartDecoder => {
  const upstream = { name: 'vendor', secret: apiKey }
  if (kind === 'ollama') return createOllamaDecoder({ upstream, model: 'asked' })
  if (kind === 'anthropic') {
    const expected = { customTools: new Set<string>(), toolIds: { given: (id: string) => id } }
    const source = { ...upstream, baseUrl: 'https://vendor.test' }
    return createAnthropicDecoder({ upstream: source, model: 'asked', expected, native: false })
  }
  if (kind === 'gemini') {
    return createGeminiDecoder({ upstream: { ...upstream, errorFacts: geminiErrorFacts }, model: 'asked' })
  }
  return createOpenAiDecoder({ upstream, model: 'asked', quirks: { reasoningField: 'reasoning' } })
}

export type Decoded = { parts: StreamPart[]; failure: unknown }

/** Runs a decoder over pieces, to its clean end or to what it throws. */
export function decode(decoder: PartDecoder, pieces: Iterable<Uint8Array>): Decoded {
  const parts: StreamPart[] = []
  try {
    for (const piece of pieces) if (decoder.push(piece, parts)) return { parts, failure: undefined }
    decoder.end(parts)
    return { parts, failure: undefined }
  } catch (failure) {
    return { parts, failure }
  }
}

export const textOf = (parts: readonly StreamPart[]) =>
  parts.flatMap(({ chunk }) => chunk.choices.map((choice) => choice.delta.content ?? '')).join('')

export async function readAll(stream: ChatStream): Promise<Decoded> {
  const parts: StreamPart[] = []
  try {
    for (let batch = await stream.read(); batch !== undefined; batch = await stream.read()) parts.push(...batch)
    return { parts, failure: undefined }
  } catch (failure) {
    return { parts, failure }
  }
}

/** An outbound that answers from a function and keeps what it was asked. */
export function scripted(answer: (request: OutboundRequest) => Response | Promise<Response>) {
  const requests: OutboundRequest[] = []
  const outbound: Outbound = async (request) => {
    requests.push(request)
    return answer(request)
  }
  const sent = (): Record<string, unknown> => JSON.parse(String(requests.at(-1)?.body))
  return { outbound, requests, sent }
}

export const json = (body: unknown, init: ResponseInit = {}) => Response.json(body, init)

export const eventStream = (text: string, contentType = 'text/event-stream') =>
  new Response(text, { headers: { 'content-type': contentType } })

/** A response whose body the test feeds by hand. */
export function fedStream() {
  const pipe = new TransformStream<Uint8Array, Uint8Array>()
  const writer = pipe.writable.getWriter()
  const response = new Response(pipe.readable, { headers: { 'content-type': 'text/event-stream' } })
  return { response, write: (text: string) => writer.write(new TextEncoder().encode(text)), writer }
}

export function callOf(body: Partial<ChatBody> = {}, extra: Partial<ChatCall> = {}): ChatCall {
  return {
    requestId: 'req_1',
    model: 'upstream-model',
    body: { model: 'asked-model', messages: [{ role: 'user', content: 'Hi' }], ...body },
    signal: new AbortController().signal,
    timeouts,
    ...extra,
  }
}

export const vendor = (outbound: Outbound, extra: Partial<OpenAiCompatibleOptions> = {}) =>
  createOpenAiCompatible({
    name: 'vendor',
    baseUrl: 'https://vendor.test/v1/',
    apiKey,
    outbound,
    quirks: { maxTokensField: 'max_tokens', supportsStreamUsage: true },
    timeouts,
    wholeTotalMs: 20_000,
    ...extra,
  })

/** The `UpstreamError` that the work must end in. */
export async function upstreamFailure(work: Promise<unknown>): Promise<UpstreamError> {
  const failure = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (failure instanceof UpstreamError) return failure
  throw new Error(`expected an UpstreamError, got ${String(failure)}`)
}

export const chunkEvent = (chunk: Record<string, unknown>) => `data: ${JSON.stringify(chunk)}\n\n`

/** A chunk with one choice, as a vendor without habits would send it. */
export const chunkOf = (delta: Record<string, unknown>, finishReason: string | null = null) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_763_712_000,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
})
