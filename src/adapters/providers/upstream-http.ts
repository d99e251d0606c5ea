import { type Timeouts, UpstreamError, type VendorError } from '../../core/models.ts'
import type { NodeRequest } from '../../core/node.ts'
import { type Outbound, OutboundError, type OutboundFault, type OutboundPurpose } from '../../core/outbound.ts'
import { withoutAccount } from './account-words.ts'
import { parseJson } from './json-shape.ts'
import {
  keepVigil,
  readDeclared,
  readText,
  type UpstreamBody,
  type Vigil,
  type Watched,
  watchBody,
} from './upstream-body.ts'
import { retryAfterMs, vendorErrorOf } from './vendor-error.ts'

/** 2048 embeddings of 3072 numbers are about 60 MB of JSON; nothing honest is larger. */
const WHOLE_MAX_BYTES = 64 * 1024 * 1024
const ERROR_MAX_BYTES = 256 * 1024
/** The longest list of models that there is, OpenRouter's, is under a megabyte. */
export const LISTING_MAX_BYTES = 4 * 1024 * 1024
/** The status is what matters; its words get no more patience than this. */
const ERROR_BODY_MS = 5000

/** What an error's body tells in a wire's own words; each wins over what is read from status and headers. */
export type ErrorFacts = {
  status?: number | undefined
  retryAfterMs?: number | undefined
  vendor?: VendorError | undefined
}

/** What every request to one upstream has in common. */
export type Upstream = {
  name: string
  outbound: Outbound
  purpose: Extract<OutboundPurpose, 'vendor' | 'node'>
  baseUrl: string
  headers: Readonly<Record<string, string>>
  /** Takes the place of `outbound`, `baseUrl` and the credential in `headers`, where only some paths may be asked. */
  send?: ((request: Omit<NodeRequest, 'server'>) => Promise<Response>) | undefined
  /** Blanked out of everything that the upstream says; a credential may have several parts. */
  secret: string | readonly string[] | undefined
  /** Reads an error's body; without it, what most vendors have in common is read. */
  errorFacts?: ((body: unknown) => ErrorFacts) | undefined
  /** Unix milliseconds. */
  now: () => number
}

/** What is needed to read an upstream's errors. */
export type ErrorSource = Pick<Upstream, 'name' | 'secret' | 'errorFacts'> & Partial<Pick<Upstream, 'baseUrl'>>

export type UpstreamRequest = {
  path: string
  /** Sent as JSON with POST, bytes as JSON already; without it the request is a GET. */
  body?: unknown
  signal: AbortSignal
  timeouts: Timeouts
  /** A whole answer sends its headers when it is done, so only the total limits it. */
  expect: 'stream' | 'whole'
  headers?: Readonly<Record<string, string>>
  /** Of a whole answer; what any honest one may have unless told. */
  maxBytes?: number
}

export type UpstreamAnswer = { contentType: string; body: UpstreamBody }

/** Sends one request and returns the body of a 2xx. Throws `UpstreamError` for everything else. */
export async function sendUpstream(upstream: Upstream, request: UpstreamRequest): Promise<UpstreamAnswer> {
  const { response, watched, vigil } = await openUpstream(upstream, request)
  vigil.release()
  return { contentType: (response.headers.get('content-type') ?? '').toLowerCase(), body: watchBody(watched) }
}

type Opened = { response: Response; watched: Watched; vigil: Vigil }

/** The same, before anyone has begun to read; until then the request is looked after. */
async function openUpstream(upstream: Upstream, request: UpstreamRequest): Promise<Opened> {
  const { signal, timeouts } = request
  const deadlineMs = upstream.now() + timeouts.totalMs
  if (signal.aborted) throw new UpstreamError('aborted', 'The caller ended the request before it was sent.')
  const headersTimeoutMs = headersTimeoutOf(request)
  const body = bytesOf(request.body)
  const vigil = keepVigil(signal, headersTimeoutMs)
  const { controller } = vigil
  let response: Response
  try {
    response = await fetchHeaders(upstream, request, { body, signal: controller.signal, headersTimeoutMs })
  } catch (cause) {
    vigil.release()
    throw unreached(upstream.name, cause, signal)
  }
  const limits = response.ok
    ? { idleMs: request.expect === 'whole' ? timeouts.totalMs : timeouts.idleMs, deadlineMs }
    : { idleMs: ERROR_BODY_MS, deadlineMs: Math.min(deadlineMs, upstream.now() + ERROR_BODY_MS) }
  const watched = { response, limits, controller, signal, name: upstream.name, now: upstream.now }
  if (response.ok) return { response, watched, vigil }
  vigil.release()
  throw await statusError(upstream, response, watchBody(watched))
}

function headersTimeoutOf({ timeouts, expect }: UpstreamRequest): number {
  const { connectMs, firstByteMs, totalMs } = timeouts
  return expect === 'whole' ? totalMs : Math.min(connectMs + firstByteMs, totalMs)
}

/** Bytes that a body will have: what its sender declared, unless that counts compressed bytes or nothing. */
function declaredBytes({ headers }: Response): number | undefined {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') ? undefined : Number(length)
}

type Ready = { body: string | Uint8Array | undefined; signal: AbortSignal; headersTimeoutMs: number }

function fetchHeaders(upstream: Upstream, request: UpstreamRequest, { body, ...timed }: Ready): Promise<Response> {
  const accept = request.expect === 'stream' ? 'text/event-stream' : 'application/json'
  const sent =
    body === undefined
      ? { method: 'GET' as const, headers: { accept, ...upstream.headers, ...request.headers } }
      : {
          method: 'POST' as const,
          headers: { accept, 'content-type': 'application/json', ...upstream.headers, ...request.headers },
          body,
        }
  if (upstream.send) return upstream.send({ path: request.path, ...sent, ...timed, keepsTime: true })
  const url = upstream.baseUrl + request.path
  return upstream.outbound({ url, purpose: upstream.purpose, ...sent, ...timed, keepsTime: true })
}

const encoder = new TextEncoder()
/** From this size on a text is not kept beside its bytes: one wide character makes it twice as large as they are. */
const LARGE_CHARS = 1024 * 1024

function bytesOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || body instanceof Uint8Array) return body
  const json = JSON.stringify(body)
  return json.length > LARGE_CHARS ? encoder.encode(json) : json
}

/** `blocked` and `unresolved` are the guard's: nothing was sent, as with a refused connection. */
const faults = {
  blocked: 'connect',
  unresolved: 'connect',
  connect: 'connect',
  timeout: 'timeout',
  aborted: 'aborted',
} as const satisfies Record<OutboundFault, 'connect' | 'timeout' | 'aborted'>

const faultWords = {
  connect: 'could not be reached',
  timeout: 'did not start to answer in time',
  aborted: 'was asked to stop',
} as const

function unreached(name: string, cause: unknown, signal: AbortSignal): UpstreamError {
  if (cause instanceof UpstreamError) return cause
  const told = cause instanceof OutboundError ? faults[cause.fault] : 'connect'
  const fault = signal.aborted ? 'aborted' : told
  return new UpstreamError(fault, `${name} ${faultWords[fault]}.`, { cause })
}

async function statusError(upstream: Upstream, response: Response, body: UpstreamBody): Promise<UpstreamError> {
  const { status, headers } = response
  // The status alone is an answer: a body that is late, huge or cut only loses us the vendor's words.
  const text = await readText(body, ERROR_MAX_BYTES).catch((failure: unknown) => {
    if (failure instanceof UpstreamError && failure.fault === 'aborted') throw failure
    body.cancel()
    return ''
  })
  const facts = upstream.errorFacts?.(parseJson(text)) ?? {}
  return new UpstreamError('status', `${upstream.name} answered with status ${status}.`, {
    status: facts.status ?? status,
    retryAfterMs: facts.retryAfterMs ?? retryAfterMs(headers, upstream.now()),
    vendor: withoutAccount(facts.vendor ?? vendorErrorOf(text), upstream),
  })
}

/** One request for one JSON document. Throws `UpstreamError`; an error inside a 2xx is `reported`. */
export async function fetchJson(upstream: Upstream, request: UpstreamRequest): Promise<unknown> {
  const { response, watched, vigil } = await openUpstream(upstream, request)
  const { maxBytes = WHOLE_MAX_BYTES } = request
  const isShort = (declaredBytes(response) ?? Number.POSITIVE_INFINITY) <= maxBytes
  if (!isShort) vigil.release()
  const text = isShort ? await readDeclared(watched, vigil) : await readText(watchBody(watched), maxBytes)
  const parsed = parseJson(text)
  if (parsed === undefined) {
    throw new UpstreamError('garbage', `${upstream.name} sent ${text.trim() === '' ? 'an empty answer' : 'no JSON'}.`)
  }
  const failure = reportedError(upstream, parsed)
  if (failure !== undefined) throw failure
  return parsed
}

/** An `error` that an upstream put inside a successful answer, event or line. */
export function reportedError(upstream: ErrorSource, parsed: unknown): UpstreamError | undefined {
  if (typeof parsed !== 'object' || parsed === null || !('error' in parsed)) return undefined
  const { error } = parsed
  if (error === null || error === undefined || error === false || error === '') return undefined
  const { status, retryAfterMs, vendor = vendorErrorOf(parsed) } = upstream.errorFacts?.(parsed) ?? {}
  return new UpstreamError('reported', `${upstream.name} reported an error inside its answer.`, {
    vendor: withoutAccount(vendor, upstream),
    retryAfterMs,
    ...(status === undefined ? {} : { status }),
  })
}
