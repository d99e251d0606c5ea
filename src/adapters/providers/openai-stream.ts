import { type StreamPart, UpstreamError } from '../../core/models.ts'
import type { VendorQuirks } from '../../core/vendors.ts'
import type { PartDecoder } from './chat-stream.ts'
import { isObject, type JsonObject, objectsOf } from './json-shape.ts'
import { createChunkReader } from './openai-chunk.ts'
import { createSseReader, type SseEvent } from './sse.ts'
import { type ErrorSource, reportedError } from './upstream-http.ts'

type Source = {
  /** Name for messages, and the secret to keep out of them. */
  upstream: ErrorSource
  /** The model to name when the vendor names none. */
  model: string
  quirks: Pick<VendorQuirks, 'reasoningField'>
  /** How many were asked for; one unless told. */
  choices?: number | undefined
}

const DONE = '[DONE]'

/**
 * Reads OpenAI's event stream. The clean end is `[DONE]`, or the end of the transport once every choice has its
 * finish reason, because several vendors forget `[DONE]`.
 */
export function createOpenAiDecoder({ upstream, model, quirks, choices }: Source): PartDecoder {
  const events = createSseReader()
  const chunks = createChunkReader(model, quirks, choices)
  let started = false

  /** Returns true for `[DONE]`. */
  function readEvent(event: SseEvent, parts: StreamPart[]): boolean {
    const { data } = event
    if (data === '') return false
    if (data.charCodeAt(0) === 91 && data.trim() === DONE) return true
    const parsed = parseEvent(data)
    const failure = reportedError(upstream, event.name === 'error' && !('error' in parsed) ? { error: parsed } : parsed)
    if (failure !== undefined) throw failure
    const part = chunks.read(parsed, data)
    if (part !== undefined) {
      if (endedInError(part)) throw new UpstreamError('reported', `${upstream.name} ended its stream with an error.`)
      parts.push(part)
    }
    return false
  }

  function parseEvent(data: string): JsonObject {
    let parsed: unknown
    try {
      parsed = JSON.parse(data)
    } catch {
      throw new UpstreamError('garbage', `${upstream.name} sent an event that is not JSON.`)
    }
    if (!isObject(parsed)) throw new UpstreamError('garbage', `${upstream.name} sent an event that is not an object.`)
    return parsed
  }

  function push(bytes: Uint8Array, parts: StreamPart[]): boolean {
    started = true
    for (const event of events.push(bytes)) if (readEvent(event, parts)) return true
    return false
  }

  function end(parts: StreamPart[]): void {
    const rest = events.end()
    if (rest !== undefined && isComplete(rest.data) && readEvent(rest, parts)) return
    if (chunks.finished) return
    if (started && events.recognised) {
      throw new UpstreamError('cut', `${upstream.name} ended its stream before its answer was complete.`)
    }
    throw new UpstreamError('garbage', `${upstream.name} sent ${started ? 'no event stream' : 'an empty answer'}.`)
  }

  return { push, end }
}

/** Whether the text after the last line end is an event in itself; half a JSON object never parses. */
function isComplete(data: string): boolean {
  if (data.trim() === DONE) return true
  try {
    JSON.parse(data)
    return true
  } catch {
    return false
  }
}

/** OpenRouter marks a choice that failed with this reason. */
const endedInError = (part: StreamPart) => part.chunk.choices.some((choice) => choice.finish_reason === 'error')

/** The error in a body that should have been a stream: some vendors answer 200 with one JSON document. */
export function errorInsteadOfStream(upstream: Source['upstream'], parsed: unknown): UpstreamError {
  const [first] = Array.isArray(parsed) ? objectsOf(parsed) : [parsed]
  return (
    reportedError(upstream, first) ??
    new UpstreamError('garbage', `${upstream.name} answered with a document, not with a stream.`)
  )
}
