import { AppError } from '../../core/errors.ts'
import { type ChatStream, type StreamPart, UpstreamError } from '../../core/models.ts'

const KEEP_ALIVE_MS = 10_000
/** How often silence is looked for: a timer for each chunk would cost more than the chunk. */
const WATCH_MS = 2500
const encoder = new TextEncoder()

export type RelayEnd = 'finished' | 'stopped' | 'left' | { failed: unknown }

export type Relay = {
  /** The stream to read, or its coming: the response may begin before the vendor does. */
  source: ChatStream | Promise<ChatStream>
  /** What of a batch the caller gets to see; `stop` ends the stream after it, with the vendor told to end. */
  pass: (parts: readonly StreamPart[]) => Passed | Promise<Passed>
  /** Written after the last part. */
  epilogue: (end: 'finished' | 'stopped') => string | Promise<string>
  /** Tells the caller of a failure. */
  failure: (error: unknown) => string | Promise<string>
  /** Written in long silences, so that nobody takes the connection for dead. */
  keepAlive: string
  /** Called once, however the stream ends, with the bytes that were written. */
  onEnd: (end: RelayEnd, bytesOut: number) => void
  /** Called when the caller has hung up, before `onEnd`. */
  onLeave: () => void
  /** What the caller leaves unread is still read, to know what it cost. */
  drains: boolean
  /** Aborted when the caller hangs up, if the runtime says so before it gives the stream up. */
  signal: AbortSignal
  nowMs: () => number
  /** Written at once: the vendor has been silent for long already. */
  opening?: string | undefined
}

/** Whole events as text; empty where the caller gets to see nothing. */
export type Passed = { text: string; stop: boolean }

/**
 * A vendor's stream as bytes for the caller: pulled, so that a slow caller slows the vendor; a sign of life in every
 * ten seconds of silence; and whatever happens, an end that the caller can tell from a cut connection.
 */
export function relay(given: Relay): ReadableStream<Uint8Array> {
  const { source, pass, epilogue, failure, keepAlive, onEnd, signal, nowMs } = given
  let stream: ChatStream | undefined = 'read' in source ? source : undefined
  let reading: Promise<readonly StreamPart[] | undefined> | undefined
  let lastMs = nowMs()
  let ended = false
  let bytesOut = 0
  let asked = false
  let watch: ReturnType<typeof setInterval> | undefined
  let leave: (() => void) | undefined

  /** No more is written. */
  const hush = (): void => {
    ended = true
    clearInterval(watch)
    if (leave) signal.removeEventListener('abort', leave)
  }

  const end = (how: RelayEnd): void => {
    if (ended) return
    hush()
    onEnd(how, bytesOut)
  }

  const write = (controller: ReadableStreamDefaultController<Uint8Array>, text: string): void => {
    if (text === '') return
    const bytes = encoder.encode(text)
    lastMs = nowMs()
    bytesOut += bytes.byteLength
    controller.enqueue(bytes)
  }

  const open = async (): Promise<readonly StreamPart[] | undefined> => {
    stream = await source
    return stream.read()
  }

  /**
   * Whoever asks while a read is under way gets the same parts: a caller may leave in the middle of one. Whoever has
   * got them ends the read. (Written without layers of promises: each costs every chunk.)
   */
  const read = (): Promise<readonly StreamPart[] | undefined> => {
    reading ??= stream ? stream.read() : open()
    return reading
  }

  const step = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const parts = await read()
    reading = undefined
    if (ended) return
    if (!parts) return finish(controller, 'finished')
    const passed = pass(parts)
    const { text, stop } = passed instanceof Promise ? await passed : passed
    if (ended) return
    write(controller, text)
    if (!stop) return
    stream?.cancel()
    return finish(controller, 'stopped')
  }

  const finish = async (
    controller: ReadableStreamDefaultController<Uint8Array>,
    how: 'finished' | 'stopped',
  ): Promise<void> => {
    const text = await epilogue(how)
    if (ended) return
    write(controller, text)
    end(how)
    controller.close()
  }

  const left = (): void => {
    if (ended) return
    given.onLeave()
    if (given.drains) {
      hush()
      void readOn().finally(() => onEnd('left', bytesOut))
    } else end('left')
  }

  const readOn = async (): Promise<void> => {
    try {
      for (let parts = await read(); parts; parts = await read()) {
        reading = undefined
        const { stop } = await pass(parts)
        if (stop) stream?.cancel()
      }
    } catch {
      // The vendor broke off, or was stopped: what it has said until then is what is known.
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        write(controller, given.opening ?? '')
        watch = setInterval(() => {
          // A caller who does not read what is there needs no more of it.
          const wanted = asked && (controller.desiredSize ?? -1) >= 0
          if (!ended && wanted && nowMs() - lastMs >= KEEP_ALIVE_MS) write(controller, keepAlive)
        }, WATCH_MS)
        leave = () => {
          left()
          controller.error(signal.reason)
        }
        if (signal.aborted) leave()
        else signal.addEventListener('abort', leave, { once: true })
      },
      async pull(controller) {
        const before = bytesOut
        asked = true
        try {
          // Parts that say nothing to the caller leave the queue empty, and nobody would pull again.
          do await step(controller)
          while (!ended && bytesOut === before)
        } catch (error) {
          if (ended) return
          stream?.cancel()
          const text = await failure(error)
          if (ended) return
          write(controller, text)
          end({ failed: error })
          controller.close()
        } finally {
          asked = false
        }
      },
      cancel: left,
    },
    // Nothing is read ahead: a chunk that waits in the queue costs more than one that is waited for.
    { highWaterMark: 0 },
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
