import type { Refusal } from '../core/address.ts'
import { OutboundError, type OutboundRequest } from '../core/outbound.ts'

/** Fixed sentences: an address that was refused is not repeated, because its query and its user part may be secret. */
const refusals: Record<Refusal, string> = {
  malformed: 'The address is not a URL.',
  scheme: 'Only https addresses may be called.',
  userinfo: 'The address may not carry a user name or password.',
  port: 'Only port 443 may be called.',
  ip_literal: 'The address must name a host, not an IP address.',
  internal_name: 'The host name does not belong to the public Internet.',
  denied_host: 'The host may not be called.',
  private_address: 'The host name leads to an address that is not public.',
  no_address: 'The host name has no address.',
  redirects: 'The address redirects too often.',
  header: 'The request carries a header that may not be set.',
  too_large: 'The response is larger than was allowed.',
  untrusted_origin: 'The origin is not one that the environment names.',
}

/** The guard's refusal; its `cause` is the reason class. */
export const blocked = (refusal: Refusal) => new OutboundError('blocked', refusals[refusal], refusal)

/** Nobody could say where the name leads; refused, since an unasked name may lead anywhere. */
export const unresolved = () => new OutboundError('unresolved', 'The resolver did not answer for the host name.')

/** The system's own name of a failure (`ECONNREFUSED`), which Node hides in the cause of a `TypeError`. */
function systemCode(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,40}$/.test(code) ? ` (${code})` : ''
}

/**
 * What a rejected `fetch` means. The runtimes reject with an opaque `TypeError` for everything, and one about a
 * header quotes its value, so the original is not kept.
 */
export function connectFailure(error: unknown, origin: string, headers: Record<string, string> = {}): OutboundError {
  try {
    new Headers(headers)
  } catch {
    return blocked('header')
  }
  return new OutboundError('connect', `Could not reach ${origin}${systemCode(error)}.`)
}

/** Ends a request at its headers' deadline or with its caller; the reason of `signal` is the error to throw. */
export type RequestWatch = {
  signal: AbortSignal
  abort(reason: OutboundError): void
  /** From here on only the caller's own signal ends the request. */
  headersArrived(): void
  stopListening(): void
}

const nothing = () => undefined

/** Starts the clock of one request, unless whoever asks keeps it. Throws at once when its caller is already gone. */
export function watchRequest({ purpose, signal, headersTimeoutMs, keepsTime }: OutboundRequest): RequestWatch {
  // What a caller named is watched to the end of its body, too.
  if (keepsTime && signal && purpose !== 'public') {
    if (signal.aborted) throw signal.reason
    return { signal, abort: nothing, headersArrived: nothing, stopListening: nothing }
  }
  const controller = new AbortController()
  const onAbort = () => controller.abort(new OutboundError('aborted', 'The caller ended the request.'))
  if (signal?.aborted) throw new OutboundError('aborted', 'The caller ended the request.')
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => {
    controller.abort(new OutboundError('timeout', `No response within ${headersTimeoutMs} ms.`))
  }, headersTimeoutMs)
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    headersArrived: () => clearTimeout(timer),
    stopListening: () => signal?.removeEventListener('abort', onAbort),
  }
}
