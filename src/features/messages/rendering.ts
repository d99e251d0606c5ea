import { AppError } from '../../core/errors.ts'
import {
  type ChatChunk,
  type ChunkChoice,
  type NativeEvent,
  type StreamPart,
  UpstreamError,
} from '../../core/models.ts'
import { usdFromNano } from '../../core/money.ts'
import { countsOf } from '../../core/usage.ts'
import { anthropicTypeOf } from '../../http/errors.ts'
import { sseEvent } from '../../http/sse.ts'
import { errorFacts, type Rendering, type StreamWriter } from '../completions/service.ts'
import { detailsOf, messageOf } from './answer.ts'
import { eventOf } from './blocks.ts'
import { createChunkWriter } from './chunks.ts'
import { createNativeFollower } from './native.ts'
import { stopReason } from './stop.ts'
import { endUsage, messageUsage } from './usage.ts'

const PING = eventOf({ type: 'ping' })
const STOP = eventOf({ type: 'message_stop' })
const NOTHING = { prompt: 0, cached: 0, cacheWrite: 0, completion: 0, reasoning: 0 }

/** Anthropic's messages and their events. `id` is the message's own, where no vendor of that wire gives one. */
export const messagesRendering = (id: string): Rendering => ({
  whole: ({ completion, native }, { usage }) => native ?? messageOf(completion, { id, usage }),
  stream: ({ body }) => createWriter(id, body.model),
})

function createWriter(id: string, askedModel: string): StreamWriter {
  const blocks = createChunkWriter()
  const native = createNativeFollower()
  let hasBegun = false
  let isNative = false
  let last: ChunkChoice | undefined

  /** Provisional counts: the end of the message tells the true ones. */
  const begin = (chunk: ChatChunk | undefined): string => {
    if (hasBegun) return ''
    hasBegun = true
    const message = {
      id,
      type: 'message',
      role: 'assistant',
      model: chunk?.model ?? askedModel,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
      usage: messageUsage(chunk?.usage ? countsOf(chunk.usage) : NOTHING),
    }
    return eventOf({ type: 'message_start', message })
  }

  const passOn = ({ native: events = [], chunk }: StreamPart): string => {
    isNative = true
    const isLate = hasBegun
    return events
      .map((event) => native.take(event))
      .map((event) => (isLate ? asContinuation(event, chunk) : event))
      .map((event) => (event ? sseEvent(event.event, event.data) : ''))
      .join('')
  }

  const end = (reason: string, told: { usage: object; helix: object }): string => {
    const delta = { stop_reason: reason, stop_sequence: null, stop_details: detailsOf(last) }
    return eventOf({ type: 'message_delta', delta, ...told }) + STOP
  }

  return {
    opening: () => begin(undefined) + PING,
    keepAlive: PING,
    part(part) {
      // What follows of the same event says it once more in other words.
      if (part.native || isNative) return passOn(part)
      const { chunk } = part
      const ended = chunk.choices.find(({ index, finish_reason }) => index === 0 && finish_reason)
      last ??= ended
      return begin(chunk) + blocks.take(chunk)
    },
    end(how, { usage, estimated, costNanoUsd, isCached }) {
      const reached = native.reached()
      if (reached !== 'content') return reached === 'end' ? '' : STOP
      const closing = isNative ? native.closeBlock() : begin(undefined) + blocks.finish()
      const hasTools = blocks.hasTools() || native.hasTools()
      const reason = how === 'stopped' ? 'max_tokens' : stopReason({ ...last, hasTools, isRefused: blocks.isRefused() })
      const helix = {
        cost_usd: usdFromNano(costNanoUsd),
        ...(estimated && { estimated }),
        ...(isCached && { cached: true }),
        ...(how === 'stopped' && { reason: 'budget' }),
      }
      return closing + end(reason, { usage: endUsage(usage), helix })
    },
    failure: (error) => eventOf({ type: 'error', error: failureOf(error) }),
  }
}

/**
 * A vendor's event behind a beginning of our own, which was sent while the vendor was silent: the vendor's beginning
 * is left out, and the counts that it alone may have told stand at the end.
 */
function asContinuation(event: NativeEvent, chunk: ChatChunk): NativeEvent | undefined {
  if (event.event === 'message_start') return undefined
  if (event.event !== 'message_delta' || !chunk.usage) return event
  const said: { usage?: Record<string, unknown> } = JSON.parse(event.data)
  const told = Object.entries(said.usage ?? {}).filter(([, count]) => count !== null)
  const usage = { ...endUsage(countsOf(chunk.usage)), ...Object.fromEntries(told) }
  return { ...event, data: JSON.stringify({ ...said, usage }) }
}

/** What Anthropic calls what went wrong, and a sentence that names no internals. */
function failureOf(error: unknown): { type: string; message: string } {
  const { message, code } = errorFacts(error)
  if (error instanceof AppError) return { type: anthropicTypeOf(error.status), message }
  const status = code === 'upstream_timeout' ? 504 : error instanceof UpstreamError ? (error.status ?? 502) : 500
  return { type: anthropicTypeOf(status), message }
}
