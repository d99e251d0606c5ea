import { UpstreamError } from '../../core/models.ts'

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

/**
 * The text of a body of a known, bearable length, in one piece: as a stream it would cost several times as much.
 * Throws `UpstreamError`: timeout, aborted, cut.
 */
export async function readDeclared({ response, limits, controller, signal, name, now }: Watched): Promise<string> {
  const stopped = Promise.withResolvers<never>()
  const stop = (reason: UpstreamError): void => {
    stopped.reject(reason)
    controller.abort()
  }
  const onAbort = () => stop(new UpstreamError('aborted', `The request to ${name} was ended by the caller.`))
  const tooLate = () => stop(new UpstreamError('timeout', `${name} did not finish its answer in time.`))
  const timer = setTimeout(tooLate, Math.max(0, Math.min(limits.idleMs, limits.deadlineMs - now())))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([stopped.promise, response.text()])
  } catch (cause) {
    throw cause instanceof UpstreamError ? cause : broken(name, cause)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
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
