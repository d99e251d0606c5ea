import type { Admission, RateState } from '../core/admission.ts'
import type { Deps, Log } from '../core/context.ts'
import type { Dialect } from './route.ts'

/** The part of Cloudflare's execution context that is used here. */
export type Execution = { waitUntil(work: Promise<unknown>): void }

/** One request on its way through, before anyone knows who sent it. */
export type Exchange = {
  request: Request
  /** As sent, not decoded. */
  path: string
  dialect: Dialect
  requestId: string
  /** The caller's own id, when it has a form that is safe to echo. */
  clientRequestId: string | undefined
  /** Unix milliseconds. */
  startedMs: number
  log: Log
  defer: (work: Promise<unknown>) => void
}

const CLIENT_REQUEST_ID = /^[\w-]{8,64}$/

type Arrival = { request: Request; path: string; dialect: Dialect; execution: Execution | undefined }

/** Names the request and notes when it came. */
export function openExchange(
  deps: Pick<Deps, 'newId' | 'now' | 'log'>,
  { request, path, dialect, execution }: Arrival,
): Exchange {
  const requestId = deps.newId('req')
  const asked = request.headers.get('x-client-request-id')
  const report = (cause: unknown) => deps.log.error('deferred_work_failed', { request_id: requestId, cause })
  return {
    request,
    path,
    dialect,
    requestId,
    clientRequestId: asked !== null && CLIENT_REQUEST_ID.test(asked) ? asked : undefined,
    startedMs: deps.now(),
    log: deps.log,
    defer: (work) => {
      const watched = work.catch(report)
      execution?.waitUntil(watched)
    },
  }
}

/** A wait as OpenAI writes it, rounded up: `250ms`, `1s`, `6m0s`, `1h0m0s`. */
export function formatReset(seconds: number): string {
  const ms = Math.max(0, Math.ceil(seconds * 1000))
  if (ms < 1000) return `${ms}ms`
  const total = Math.ceil(ms / 1000)
  if (total < 60) return `${total}s`
  const minutes = Math.floor(total / 60)
  if (minutes < 60) return `${minutes}m${total % 60}s`
  return `${Math.floor(minutes / 60)}h${minutes % 60}m${total % 60}s`
}

/** The state of one limit in OpenAI's headers. */
export function addRate(
  headers: Record<string, string>,
  unit: 'requests' | 'tokens',
  state: RateState | undefined,
): void {
  if (state === undefined) return
  headers[`x-ratelimit-limit-${unit}`] = String(state.limit)
  headers[`x-ratelimit-remaining-${unit}`] = String(Math.max(0, Math.floor(state.remaining)))
  headers[`x-ratelimit-reset-${unit}`] = formatReset(state.resetSeconds)
}

/** The headers that every answer carries, errors included. */
export function commonHeaders(exchange: Exchange, admission?: Admission): Record<string, string> {
  const headers: Record<string, string> = {
    'x-request-id': exchange.requestId,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'strict-transport-security': 'max-age=31536000',
  }
  // Where Anthropic's clients look for it.
  if (exchange.dialect === 'anthropic') headers['request-id'] = exchange.requestId
  if (exchange.clientRequestId !== undefined) headers['x-client-request-id'] = exchange.clientRequestId
  if (admission !== undefined) {
    addRate(headers, 'requests', admission.requests)
    addRate(headers, 'tokens', admission.tokens)
  }
  return headers
}

function complete(response: Response, added: Readonly<Record<string, string>>): Response {
  const { headers } = response
  for (const name in added) headers.set(name, added[name] ?? '')
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  return response
}

/** A handler's own response with the common headers; it is private unless the handler said otherwise. */
export function finishResponse(
  made: Response,
  exchange: Exchange,
  around: { admission?: Admission | undefined; headers?: Readonly<Record<string, string>> | undefined } = {},
): Response {
  const headers = { ...commonHeaders(exchange, around.admission), ...around.headers }
  try {
    return complete(made, headers)
  } catch {
    // Responses of fetch and of static assets come with headers that cannot be set.
    return complete(new Response(made.body, made), headers)
  }
}
