import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { sseComment, sseData } from '../../http/sse.ts'
import type { Answered, Ended } from './calling.ts'

/** In longer silences somebody on the way may take the connection for dead; a caller who left is noticed by it, too. */
const KEEP_ALIVE_MS = 10_000
const encoder = new TextEncoder()

export type Writer = { bytes(bytes: Uint8Array): void; event(event: object): void }

type Pulled<T> = {
  answered: Answered<T>
  /** What the run is remembered by. */
  facts: Omit<Ended, 'error' | 'bytesOut'>
  /** Writes what comes next; false at the end, once everything is written. */
  next: (read: T, write: Writer) => Promise<boolean>
  /** Tells of a failure inside the stream; a stream of sound has no place for words, and breaks off. */
  failed?: (error: unknown, write: Writer) => void
  isEvents: boolean
}

/**
 * What a node makes, read on as its caller asks for more, so that a slow caller slows the node; who hangs up ends its
 * work. The call is booked once, however the stream ends.
 */
export function pulled<T>(
  ctx: Ctx,
  { answered, facts, next, failed, isEvents }: Pulled<T>,
): ReadableStream<Uint8Array> {
  let bytesOut = 0
  let isLeft = false
  let lastMs = ctx.now()
  let timer: ReturnType<typeof setInterval> | undefined
  const end = (error?: unknown): void => {
    clearInterval(timer)
    ctx.signal.removeEventListener('abort', left)
    answered.finish({ ...facts, error, bytesOut })
  }
  const left = (): void => {
    isLeft = true
    end(new UpstreamError('aborted', 'The caller left.'))
  }
  const writerOf = (controller: ReadableStreamDefaultController<Uint8Array>): Writer => {
    const bytes = (chunk: Uint8Array): void => {
      if (isLeft) return
      lastMs = ctx.now()
      bytesOut += chunk.byteLength
      controller.enqueue(chunk)
    }
    return { bytes, event: (event) => bytes(encoder.encode(sseData(JSON.stringify(event)))) }
  }
  ctx.signal.addEventListener('abort', left, { once: true })
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        if (!isEvents) return
        const comment = encoder.encode(sseComment('waiting'))
        timer = setInterval(() => {
          const wanted = (controller.desiredSize ?? -1) >= 0
          if (wanted && ctx.now() - lastMs >= KEEP_ALIVE_MS) writerOf(controller).bytes(comment)
        }, KEEP_ALIVE_MS / 2)
      },
      async pull(controller) {
        const write = writerOf(controller)
        try {
          if (await next(answered.value, write)) return
          end()
          if (!isLeft) controller.close()
        } catch (error) {
          if (isLeft) return
          ctx.log.warn('sound_broke_off', { request_id: ctx.requestId, cause: String(error) })
          failed?.(error, write)
          end(error)
          if (failed) controller.close()
          else controller.error(new Error('The node broke off.'))
        }
      },
      cancel: left,
    },
    { highWaterMark: 0 },
  )
}
