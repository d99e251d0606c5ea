const encoder = new TextEncoder()

/** To look into a response for its body and its headers costs more than to remember it. */
const lengths = new WeakMap<Response, number>()

/**
 * A response in one piece. Its headers say how long it is, which is where the log of requests learns it: the text is
 * encoded once, and nobody counts it again.
 */
export function wholeResponse(
  text: string,
  { headers, status = 200 }: { headers: Readonly<Record<string, string>>; status?: number },
) {
  const bytes = encoder.encode(text)
  const { byteLength } = bytes
  const response = new Response(bytes, { status, headers: { ...headers, 'content-length': String(byteLength) } })
  lengths.set(response, byteLength)
  return response
}

/** How many bytes a response has; null for one that is still being written. */
export function lengthOf(response: Response): number | null {
  const known = lengths.get(response)
  if (known !== undefined) return known
  const { body, headers } = response
  if (body === null) return 0
  const length = headers.get('content-length')
  return length === null ? null : Number(length)
}

/** A body that tells how many bytes of it were read, when it has ended in whatever way. */
export function countedBody(body: ReadableStream<Uint8Array>, onEnd: (bytes: number) => void) {
  const reader = body.getReader()
  let bytes = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) {
            bytes += value.byteLength
            return controller.enqueue(value)
          }
          controller.close()
        } catch (error) {
          controller.error(error)
        }
        onEnd(bytes)
      },
      cancel(reason) {
        onEnd(bytes)
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}
