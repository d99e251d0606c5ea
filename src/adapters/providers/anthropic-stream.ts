import {
  type ChatChunk,
  type ChunkChoice,
  type NativeEvent,
  type StreamPart,
  UpstreamError,
  type WireUsage,
} from '../../core/models.ts'
import { finishOf, refusalIn } from './anthropic-answer.ts'
import { createBlockReader, type Delta } from './anthropic-blocks.ts'
import { reportedFailure } from './anthropic-errors.ts'
import type { Expected } from './anthropic-request.ts'
import { createUsageTracker } from './anthropic-usage.ts'
import type { PartDecoder } from './chat-stream.ts'
import { isObject, type JsonObject, parseJson, stringOf } from './json-shape.ts'
import { newCompletionId } from './openai-message.ts'
import { createSseReader, type SseEvent } from './sse.ts'
import type { Upstream } from './upstream-http.ts'

type Source = {
  upstream: Pick<Upstream, 'name' | 'secret' | 'baseUrl'>
  /** The model to name when the vendor names none. */
  model: string
  expected: Expected
  /** Whether the vendor's own events go along. */
  native: boolean
}

type Choices = { choices: ChunkChoice[]; usage?: WireUsage }

/**
 * Reads Anthropic's events as OpenAI's chunks. The clean end is `message_stop`, or the end of the transport once the
 * reason for stopping was told. Usage is told once, at the end: what stands in the first event is provisional.
 */
export function createAnthropicDecoder({ upstream, model, expected, native }: Source): PartDecoder {
  const events = createSseReader()
  const blocks = createBlockReader(expected)
  const usage = createUsageTracker()
  let head: { id: string; object: 'chat.completion.chunk'; created: number; model: string } | undefined
  let spoke = false
  let finished = false
  let received = false
  /** What the first event counts: whoever leaves before the end is billed for the prompt all the same. */
  let isCounted = false

  /** Returns true for `message_stop`. Native events leave with the first chunk of what they say, or with none, under the name that clients look for. */
  function readEvent(event: SseEvent, parts: StreamPart[]): boolean {
    if (event.data === '') return false
    const parsed = parseJson(event.data)
    if (!isObject(parsed)) throw new UpstreamError('garbage', `${upstream.name} sent an event that is no JSON object.`)
    const type = stringOf(parsed.type) ?? event.name
    if (type === 'error') {
      settle(parts)
      throw reportedFailure(upstream, parsed)
    }
    const said = chunksOf(type, parsed)
    const chunks = native && said.length === 0 ? [{ choices: [] }] : said
    for (const [position, chunk] of chunks.entries()) {
      emit(parts, chunk, native && position === 0 ? [{ event: type, data: event.data }] : undefined)
    }
    return type === 'message_stop'
  }

  function chunksOf(type: string, event: JsonObject): Choices[] {
    switch (type) {
      case 'message_start':
        return begin(isObject(event.message) ? event.message : {})
      case 'content_block_start':
        return saying(blocks.start(event.index, event.content_block))
      case 'content_block_delta':
        return saying(blocks.delta(event.index, event.delta))
      case 'content_block_stop':
        return saying(blocks.stop(event.index))
      case 'message_delta':
        usage.take(event.usage)
        return finish(isObject(event.delta) ? event.delta : {}).map(counted)
      case 'message_stop':
        return [...finish({ stop_reason: 'end_turn' }), ...lastUsage()]
      default:
        return []
    }
  }

  function begin(message: JsonObject): Choices[] {
    usage.take(message.usage)
    if (head !== undefined) return []
    head = headOf(message)
    return saying({ content: '' })
  }

  const headOf = (message: JsonObject) => ({
    id: stringOf(message.id) || newCompletionId(),
    object: 'chat.completion.chunk' as const,
    created: Math.floor(Date.now() / 1000),
    model: stringOf(message.model) || model,
  })

  function saying(delta: Delta | undefined, end: Partial<ChunkChoice> = { finish_reason: null }): Choices[] {
    if (delta === undefined) return []
    const whole = spoke ? delta : { role: 'assistant', ...delta }
    spoke = true
    return [{ choices: [{ index: 0, delta: whole, ...end }] }]
  }

  function finish(end: JsonObject): Choices[] {
    if (finished || !stringOf(end.stop_reason)) return []
    const rest = blocks.stopAll().flatMap((delta) => saying(delta))
    finished = true
    const refusal = refusalIn(end)
    return [...rest, ...saying(refusal === undefined ? {} : { refusal }, finishOf(end))]
  }

  /** Whoever passes the vendor's own end on may have to tell what only its beginning told. */
  function counted(said: Choices): Choices {
    const total = native ? usage.total() : undefined
    return total === undefined ? said : { ...said, usage: total }
  }

  function lastUsage(): Choices[] {
    const total = usage.total()
    return total === undefined ? [] : [{ choices: [], usage: total }]
  }

  /** What was counted belongs to the books, however the stream ends. */
  function settle(parts: StreamPart[]): void {
    if (finished) for (const chunk of lastUsage()) emit(parts, chunk)
  }

  function emit(parts: StreamPart[], said: Choices, events?: NativeEvent[]): void {
    head ??= headOf({})
    const chunk: ChatChunk = { ...head, ...said }
    const counted = isCounted && !finished ? undefined : usage.total()
    isCounted ||= counted !== undefined
    parts.push({
      chunk,
      json: JSON.stringify(chunk),
      ...(events === undefined ? {} : { native: events }),
      ...(counted === undefined ? {} : { counted }),
    })
  }

  function push(bytes: Uint8Array, parts: StreamPart[]): boolean {
    received = true
    for (const event of events.push(bytes)) if (readEvent(event, parts)) return true
    return false
  }

  function end(parts: StreamPart[]): void {
    const rest = events.end()
    if (rest !== undefined && parseJson(rest.data) !== undefined && readEvent(rest, parts)) return
    settle(parts)
    if (finished) return
    if (received && events.recognised) {
      throw new UpstreamError('cut', `${upstream.name} ended its stream before its answer was complete.`)
    }
    throw new UpstreamError('garbage', `${upstream.name} sent ${received ? 'no event stream' : 'an empty answer'}.`)
  }

  return { push, end }
}
