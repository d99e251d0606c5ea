/** How a vendor's bytes end: by themselves, by a broken connection, or not at all. */
export type BodyEnd = 'eof' | 'reset' | 'hang'

export type ScriptedBody = {
  response: Response
  /** How many of the pieces the reader has taken. */
  taken(): number
  /** Settles when the reader gives the body up. */
  left: Promise<void>
}

const encoder = new TextEncoder()

/**
 * A response of which each piece arrives on its own, and only when it is asked for. A broken connection takes nothing
 * along that was sent before it.
 */
export function scriptedBody(
  pieces: Iterable<Uint8Array | string>,
  { end = 'eof', type = 'text/event-stream', signal }: { end?: BodyEnd; type?: string; signal?: AbortSignal } = {},
): ScriptedBody {
  const source = pieces[Symbol.iterator]()
  const left = Promise.withResolvers<void>()
  let taken = 0
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        signal?.addEventListener('abort', () => {
          left.resolve()
          controller.error(signal.reason)
        })
      },
      pull(controller) {
        const { done, value } = source.next()
        if (!done) {
          taken += 1
          controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value)
        } else if (end === 'eof') controller.close()
        else if (end === 'reset') controller.error(new TypeError('terminated'))
        else return new Promise<void>(() => {})
        return undefined
      },
      cancel: () => left.resolve(),
    },
    { highWaterMark: 0 },
  )
  return { response: new Response(body, { headers: { 'content-type': type } }), taken: () => taken, left: left.promise }
}
