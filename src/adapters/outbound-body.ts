import { OutboundError, type OutboundRequest } from '../core/outbound.ts'
import { blocked, type RequestWatch } from './outbound-failure.ts'

/** What `fetch` is told of a request's body; of a stream, that nobody reads an answer before its end (Node.js asks for it). */
export const sentBody = ({ body, stream }: OutboundRequest) =>
  stream ? { body: stream, duplex: 'half' as const } : { body: body ?? null }

export type BodyBounds = { maxBytes: number; remainingMs: number }

/**
 * The same response with a body that ends with an `OutboundError` past `maxBytes` (`blocked`), after `remainingMs`
 * (`timeout`), when the caller goes (`aborted`) or when the other side breaks off (`connect`).
 * Throws `blocked` at once when the response announces more than it may send.
 */
export function boundBody(response: Response, watch: RequestWatch, { maxBytes, remainingMs }: BodyBounds): Response {
  const source = response.body
  if (!source) {
    watch.stopListening()
    return response
  }
  if (Number(response.headers.get('content-length')) > maxBytes) {
    void source.cancel().catch(() => undefined)
    throw blocked('too_large')
  }
  const tooLate = () => watch.abort(new OutboundError('timeout', 'The response took too long.'))
  const timer = setTimeout(tooLate, Math.max(0, remainingMs))
  const settle = () => {
    clearTimeout(timer)
    watch.stopListening()
  }
  return new Response(boundStream(source.getReader(), watch, { maxBytes, settle }), response)
}

/** Calls `settle` once nothing more can happen to the stream. */
function boundStream(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  watch: RequestWatch,
  { maxBytes, settle }: { maxBytes: number; settle: () => void },
): ReadableStream<Uint8Array> {
  let bytes = 0
  return new ReadableStream<Uint8Array>({
    start(controller) {
      // Not left to `fetch`: what had already arrived must end as well.
      watch.signal.addEventListener('abort', () => {
        settle()
        controller.error(watch.signal.reason)
        void reader.cancel().catch(() => undefined)
      })
    },
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => {
        settle()
        throw watch.signal.aborted ? watch.signal.reason : new OutboundError('connect', 'The response was cut short.')
      })
      if (watch.signal.aborted) return
      bytes += value?.byteLength ?? 0
      if (bytes > maxBytes) return watch.abort(blocked('too_large'))
      if (value) return controller.enqueue(value)
      settle()
      if (done) controller.close()
    },
    cancel(reason) {
      settle()
      return reader.cancel(reason)
    },
  })
}
