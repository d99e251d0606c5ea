import { AppError } from '../../core/errors.ts'
import { type ChatStream, type StreamPart, UpstreamError } from '../../core/models.ts'
import { SSE_DONE, sseComment, sseData } from '../../http/sse.ts'

const KEEP_ALIVE_MS = 10_000
/** How often silence is looked for: a timer for each chunk would cost more than the chunk. */
const WATCH_MS = 2500
const KEEP_ALIVE = sseComment('keep-alive')
const encoder = new TextEncoder()

export type RelayEnd = 'finished' | 'stopped' | 'left' | { failed: unknown }

export type Relay = {
  /** The stream to read, or its coming: the response may begin before the vendor does. */
  source: ChatStream | Promise<ChatStream>
  /** What of a batch the caller gets to see; `stop` ends the stream after it, with the vendor told to end. */
  pass: (parts: readonly StreamPart[]) => Passed | Promise<Passed>
  /** Written between the last part and `[DONE]`. */
  epilogue: () => readonly string[]
  /** The event that tells the caller of a failure. */
  failure: (error: unknown) => string
  /** Called once, however the stream ends. */
  onEnd: (end: RelayEnd) => void
  nowMs: () => number
}

export type Passed = { events: readonly string[]; stop: boolean }

/**
 * A vendor's stream as bytes for the caller: pulled, so that a slow caller slows the vendor; a comment in every ten
 * seconds of silence; and whatever happens, an end that the caller can tell from a cut connection.
 */
export function relay({ source, pass, epilogue, failure, onEnd, nowMs }: Relay): ReadableStream<Uint8Array> {
  let stream: ChatStream | undefined = 'read' in source ? source : undefined
  let lastMs = nowMs()
  let ended = false
  let writes = 0
  let watch: ReturnType<typeof setInterval> | undefined

  const end = (how: RelayEnd): void => {
    if (ended) return
    ended = true
    clearInterval(watch)
    onEnd(how)
  }

  const write = (controller: ReadableStreamDefaultController<Uint8Array>, text: string): void => {
    lastMs = nowMs()
    writes += 1
    controller.enqueue(encoder.encode(text))
  }

  const step = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    stream ??= await source
    const parts = await stream.read()
    if (ended) return
    if (!parts) return finish(controller, 'finished')
    const { events, stop } = await pass(parts)
    if (ended) return
    if (events.length > 0) write(controller, events.map(sseData).join(''))
    if (!stop) return
    stream.cancel()
    finish(controller, 'stopped')
  }

  const finish = (controller: ReadableStreamDefaultController<Uint8Array>, how: RelayEnd): void => {
    write(controller, epilogue().map(sseData).join('') + SSE_DONE)
    end(how)
    controller.close()
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        watch = setInterval(() => {
          if (!ended && nowMs() - lastMs >= KEEP_ALIVE_MS) write(controller, KEEP_ALIVE)
        }, WATCH_MS)
      },
      async pull(controller) {
        const before = writes
        try {
          // Parts that say nothing to the caller leave the queue empty, and nobody would pull again.
          do await step(controller)
          while (!ended && writes === before)
        } catch (error) {
          if (ended) return
          write(controller, sseData(failure(error)))
          end({ failed: error })
          controller.close()
        }
      },
      cancel() {
        end('left')
      },
    },
    { highWaterMark: 1 },
  )
}

/** What an interrupted stream tells its reader: the code, and a sentence that names no internals. */
export function errorFacts(error: unknown): { message: string; type: string; code: string } {
  if (error instanceof AppError) return { message: error.message, type: error.type, code: error.wireCode ?? error.code }
  if (error instanceof UpstreamError) {
    if (error.fault === 'timeout') {
      return {
        message: 'The provider fell silent before its answer was complete.',
        type: 'upstream_error',
        code: 'upstream_timeout',
      }
    }
    const message =
      error.fault === 'reported' && error.vendor
        ? error.vendor.message
        : 'The provider broke off before its answer was complete.'
    return { message, type: 'upstream_error', code: 'provider_error' }
  }
  return { message: 'Something went wrong on our side.', type: 'server_error', code: 'internal' }
}
