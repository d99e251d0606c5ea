import { httpOrigin, normalHost } from '../core/address.ts'
import type { Outbound, OutboundRequest } from '../core/outbound.ts'
import { createAccountSend } from './outbound-account.ts'
import { sentBody } from './outbound-body.ts'
import { createResolver } from './outbound-dns.ts'
import { blocked, connectFailure, watchRequest } from './outbound-failure.ts'
import { createPublicSend } from './outbound-public.ts'

export type OutboundOptions = {
  /** URLs or origins that the environment names: vendors, nodes, stores. Their scheme is the environment's choice. */
  trustedOrigins: readonly string[]
  /** Exact origins let through for `public`; the environment refuses them outside development and test. */
  testOrigins: readonly string[]
  /** Host names that `public` may never reach, nor any name below them: own zones, tunnels, Redis, Postgres. */
  deniedHosts: readonly string[]
  /** A DNS-over-HTTPS resolver that answers `application/dns-json`. */
  dohUrl: string
  fetch: typeof globalThis.fetch
  /** Unix milliseconds. */
  now: () => number
}

/** More different addresses than that are not a vendor's, a node's or a store's. */
const MAX_TRUSTED = 256

/**
 * The program's one way out. For `vendor`, `node` and `store` the whole guard is one look-up of the origin, since
 * every model call and every Redis command passes here. A `signal` should live no longer than its request: it is
 * listened to until the response's body is gone. A `blocked` error carries its `Refusal` as `cause`.
 * Throws `TypeError` when an origin that the environment names is not one.
 */
export function createOutbound(options: OutboundOptions): Outbound {
  const { fetch } = options
  const trustedOrigins = new Set(options.trustedOrigins.map(httpOrigin))
  const deniedHosts = options.deniedHosts.map(normalHost).filter((host) => host !== '')
  const guard = {
    rules: { testOrigins: new Set(options.testOrigins.map(httpOrigin)), deniedHosts },
    resolve: createResolver({ dohUrl: options.dohUrl, fetch, deniedHosts }),
    fetch,
  }
  const sendPublic = createPublicSend({ ...guard, now: options.now })
  const sendAccount = createAccountSend(guard)

  const trusted = new Set<string>()

  /** The environment names few addresses: each is taken apart once. */
  const trust = (url: string): void => {
    if (trusted.has(url)) return
    if (!trustedOrigins.has(originOf(url))) throw blocked('untrusted_origin')
    if (trusted.size < MAX_TRUSTED) trusted.add(url)
  }

  async function sendTrusted(request: OutboundRequest): Promise<Response> {
    trust(request.url)
    const watch = watchRequest(request)
    try {
      return await fetch(request.url, {
        method: request.method ?? 'GET',
        headers: request.headers ?? {},
        ...sentBody(request),
        redirect: 'manual',
        signal: watch.signal,
      })
    } catch (error) {
      watch.stopListening()
      throw watch.signal.aborted ? watch.signal.reason : connectFailure(error, originOf(request.url), request.headers)
    } finally {
      watch.headersArrived()
    }
  }

  return (request) => {
    if (request.purpose === 'public') return sendPublic(request)
    return request.purpose === 'account' ? sendAccount(request) : sendTrusted(request)
  }
}

/** Only `http(s)` URLs without credentials have an origin here: `blob:` URLs would borrow the one they carry. */
function originOf(text: string): string {
  const url = URL.parse(text)
  if (!url) throw blocked('malformed')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw blocked('scheme')
  if (url.username !== '' || url.password !== '') throw blocked('userinfo')
  return url.origin
}
