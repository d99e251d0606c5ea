import { UpstreamError } from '../../core/models.ts'
import { OutboundError } from '../../core/outbound.ts'

export type BodyLimits = {
  /** Longest silence between two reads' bytes while someone waits for them. */
  idleMs: number
  /** Unix milliseconds after which the body is too late, whoever waits. */
  deadlineMs: number
}

/** A response's bytes under a watch. `undefined` is the end of the transport, which is not yet the end of an answer. */
export type UpstreamBody = {
  /** Throws `UpstreamError`: timeout, aborted, cut. */
  read(): Promise<Uint8Array | undefined>
  /** Ends the vendor's work. Safe to call twice and after the end. */
  cancel(): void
  /** The answer is complete: lets the transport end by itself, so that its connection can serve the next request. */
  finish(): void
}

/** A vendor that keeps the transport open this long after its answer's end loses the connection. */
const FAREWELL_MS = 1000

export type Watched = {
  response: Pick<Response, 'body' | 'text'>
  limits: BodyLimits
  /** Ends the request behind the body. */
  controller: AbortController
  /** The caller's own wish to stop. */
  signal: AbortSignal
  /** For messages. */
  name: string
  /** Unix milliseconds. */
  now: () => number
}

/**
 * Watches a body with one timer that re-arms itself, not one timer a chunk. Silence counts only while a read is
 * pending: a slow client that does not ask must not make its vendor look dead.
 */
export function watchBody({ response, limits, controller, signal, name, now }: Watched): UpstreamBody {
  const reader = response.body?.getReader()
  let waitingSinceMs: number | undefined
  let failure: UpstreamError | undefined
  let ended = reader === undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  function release(): void {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }

  function stop(reason: UpstreamError): void {
    if (ended || failure !== undefined) return
    failure = reason
    release()
    controller.abort()
    // Aborting fails a pending read in most runtimes; cancelling settles it in all of them.
    reader?.cancel().catch(() => undefined)
  }

  const onAbort = () => stop(new UpstreamError('aborted', `The request to ${name} was ended by the caller.`))

  function watch(): void {
    const nowMs = now()
    const idleLeftMs = waitingSinceMs === undefined ? limits.idleMs : waitingSinceMs + limits.idleMs - nowMs
    const totalLeftMs = limits.deadlineMs - nowMs
    if (totalLeftMs <= 0) stop(new UpstreamError('timeout', `${name} did not finish its answer in time.`))
    else if (idleLeftMs <= 0) stop(new UpstreamError('timeout', `${name} fell silent in the middle of its answer.`))
    else timer = setTimeout(watch, Math.min(idleLeftMs, totalLeftMs))
  }

  async function read(): Promise<Uint8Array | undefined> {
    if (failure !== undefined) throw failure
    if (ended || reader === undefined) return undefined
    waitingSinceMs = now()
    try {
      const { done, value } = await reader.read()
      if (failure !== undefined) throw failure
      if (!done) return value
      ended = true
      release()
      return undefined
    } catch (cause) {
      if (failure === undefined) release()
      failure ??= broken(name, cause)
      throw failure
    } finally {
      waitingSinceMs = undefined
    }
  }

  const cancel = () => stop(new UpstreamError('aborted', `The request to ${name} was cancelled.`))

  function finish(): void {
    if (ended || failure !== undefined || reader === undefined) return
    release()
    timer = setTimeout(cancel, FAREWELL_MS)
    reader.read().then(({ done }) => {
      ended = done
      if (done) release()
      else cancel()
    }, cancel)
  }

  if (signal.aborted) onAbort()
  else if (!ended) {
    signal.addEventListener('abort', onAbort, { once: true })
    watch()
  }
  return { read, cancel, finish }
}

const broken = (name: string, cause: unknown): UpstreamError =>
  new UpstreamError('cut', `The connection to ${name} broke in the middle of its answer.`, { cause })

type End = 'aborted' | 'timeout'

/** Ends a request whose time is over or whose caller has gone. */
export type Vigil = {
  controller: AbortController
  /** To be told of the end, at once if it has come. */
  onEnd(told: (end: End) => void): void
  /** The request is done, or somebody else looks after it. */
  release(): void
}

/** One timer and one listener, from the beginning of a request to its headers, or to the end of a short answer. */
export function keepVigil(signal: AbortSignal, timeoutMs: number): Vigil {
  const controller = new AbortController()
  let ended: End | undefined
  let tell: ((end: End) => void) | undefined
  const end = (how: End): void => {
    release()
    ended = how
    tell?.(how)
    controller.abort(new OutboundError(how, ends[how]))
  }
  const onAbort = () => end('aborted')
  const timer = setTimeout(() => end('timeout'), timeoutMs)
  signal.addEventListener('abort', onAbort, { once: true })
  const release = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
  return {
    controller,
    onEnd(told) {
      tell = told
      if (ended !== undefined) told(ended)
    },
    release,
  }
}

const ends: Readonly<Record<End, string>> = {
  aborted: 'The caller ended the request.',
  timeout: 'The response took too long.',
}

/**
 * The text of a body of a known, bearable length, in one piece: as a stream it would cost several times as much. What
 * looked after the request until now does so until its end. Throws `UpstreamError`: timeout, aborted, cut.
 */
export async function readDeclared({ response, name }: Pick<Watched, 'response' | 'name'>, vigil: Vigil) {
  try {
    return await new Promise<string>((resolve, reject) => {
      vigil.onEnd((end) => {
        const message =
          end === 'aborted'
            ? `The request to ${name} was ended by the caller.`
            : `${name} did not finish its answer in time.`
        reject(new UpstreamError(end, message))
      })
      response.text().then(resolve, reject)
    })
  } catch (cause) {
    throw cause instanceof UpstreamError ? cause : broken(name, cause)
  } finally {
    vigil.release()
  }
}

/** The whole body as text. Throws `UpstreamError`: `garbage` beyond `maxBytes`, and what `read` throws. */
export async function readText(body: UpstreamBody, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) {
      body.cancel()
      throw new UpstreamError('garbage', `The answer is larger than ${maxBytes} bytes.`)
    }
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
