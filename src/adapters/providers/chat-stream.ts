import { type ChatStream, type StreamPart, UpstreamError } from '../../core/models.ts'
import type { UpstreamBody } from './upstream-body.ts'

/** Turns one wire's bytes into parts. What it found before it throws is already in `parts`. */
export type PartDecoder = {
  /** Returns true when the wire's own end was seen. Throws `UpstreamError`. */
  push(bytes: Uint8Array, parts: StreamPart[]): boolean
  /** The transport ended. Throws `UpstreamError('cut')` unless that may count as the wire's own end. */
  end(parts: StreamPart[]): void
}

/**
 * A vendor's stream over a body: each read gives all parts of what arrived, and never an empty batch. A failure that
 * comes in the same bytes as good parts waits for the next read, so that no part is lost.
 */
export function createChatStream(body: UpstreamBody, decoder: PartDecoder): ChatStream {
  let failure: UpstreamError | undefined
  let ended = false

  function decode(bytes: Uint8Array | undefined, parts: StreamPart[]): void {
    try {
      if (bytes === undefined) {
        decoder.end(parts)
        ended = true
      } else if (decoder.push(bytes, parts)) {
        ended = true
        body.finish()
      }
    } catch (cause) {
      failure = cause instanceof UpstreamError ? cause : unreadable(cause)
      body.cancel()
    }
  }

  async function read(): Promise<readonly StreamPart[] | undefined> {
    const parts: StreamPart[] = []
    while (parts.length === 0) {
      if (failure !== undefined) throw failure
      if (ended) return undefined
      decode(await body.read(), parts)
    }
    return parts
  }

  function cancel(): void {
    if (ended) return
    failure ??= new UpstreamError('aborted', 'The stream was cancelled.')
    body.cancel()
  }

  return { read, cancel }
}

const unreadable = (cause: unknown) => new UpstreamError('garbage', 'The stream could not be understood.', { cause })
