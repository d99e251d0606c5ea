import { judgeUrl, type UrlRules } from '../core/address.ts'
import { type Outbound, OutboundError, type OutboundRequest } from '../core/outbound.ts'
import { boundBody } from './outbound-body.ts'
import type { Resolve } from './outbound-dns.ts'
import { blocked, connectFailure, watchRequest } from './outbound-failure.ts'

const maxRedirects = 5
const maxBodyBytes = 10 * 1024 * 1024
const totalTimeoutMs = 30_000

/** Framing belongs to the runtime, `cookie` to nobody, and the prefixes to this program, proxies and the edge. */
const closedHeaders = new Set(
  'host connection content-length cookie expect keep-alive te trailer transfer-encoding upgrade'.split(' '),
)
const closedHeaderPrefixes = ['x-helix-', 'proxy-', 'cf-']

/** All that follows a redirect to another origin. A list of what may stay, since any header's name can hold a key. */
const harmlessHeaders = new Set('accept accept-language content-type range user-agent'.split(' '))

type PublicOptions = { rules: UrlRules; resolve: Resolve; fetch: typeof globalThis.fetch; now: () => number }

/** One request of a chain of redirects. */
type Hop = { method: string; headers: Record<string, string>; body: string | Uint8Array | null }

/**
 * Sends to an address that a caller named: judge the URL, judge its name's addresses, send, and do so again for each
 * redirect. Throws `OutboundError`; the body ends with one too when it grows past its limit or the 30 s are over.
 */
export function createPublicSend({ rules, resolve, fetch, now }: PublicOptions): Outbound {
  async function send(url: URL, hop: Hop, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(url.href, { ...hop, redirect: 'manual', signal })
    } catch (error) {
      throw connectFailure(error, url.origin, hop.headers)
    }
  }

  async function follow(request: OutboundRequest, signal: AbortSignal): Promise<Response> {
    let hop = firstHop(request)
    let from: URL | undefined
    let target = request.url
    for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
      const verdict = judgeUrl(target, rules, from?.href)
      if (!verdict.allowed) throw blocked(verdict.refusal)
      if (!verdict.known) await resolve(verdict.host, signal)
      if (from && from.origin !== verdict.url.origin) hop = { ...hop, headers: keepHeaders(hop, isHarmless) }
      const response = await send(verdict.url, hop, signal)
      const location = redirectTarget(response)
      if (location === undefined) return response
      await response.body?.cancel().catch(() => undefined)
      hop = nextHop(hop, response.status)
      from = verdict.url
      target = location
    }
    throw blocked('redirects')
  }

  return async (request) => {
    const deadlineMs = now() + totalTimeoutMs
    const watch = watchRequest({ ...request, headersTimeoutMs: Math.min(request.headersTimeoutMs, totalTimeoutMs) })
    try {
      const response = await follow(request, watch.signal)
      const limits = { maxBytes: request.maxBodyBytes ?? maxBodyBytes, remainingMs: deadlineMs - now() }
      return boundBody(response, watch, limits)
    } catch (error) {
      watch.stopListening()
      const isAnswerOfGuard = error instanceof OutboundError && error.fault !== 'connect'
      throw watch.signal.aborted && !isAnswerOfGuard ? watch.signal.reason : error
    } finally {
      watch.headersArrived()
    }
  }
}

function firstHop({ method = 'GET', headers = {}, body }: OutboundRequest): Hop {
  const names = Object.keys(headers).map((name) => name.toLowerCase())
  const isClosed = (name: string) => closedHeaders.has(name) || closedHeaderPrefixes.some((p) => name.startsWith(p))
  if (names.some(isClosed)) throw blocked('header')
  return { method: method.toUpperCase(), headers, body: body ?? null }
}

const isHarmless = (name: string) => harmlessHeaders.has(name)
const isNotAboutBody = (name: string) => !name.startsWith('content-')

const keepHeaders = (hop: Hop, keeps: (lowerCaseName: string) => boolean) =>
  Object.fromEntries(Object.entries(hop.headers).filter(([name]) => keeps(name.toLowerCase())))

const redirectTarget = ({ status, headers }: Response) =>
  [301, 302, 303, 307, 308].includes(status) ? (headers.get('location') ?? undefined) : undefined

/** What becomes of method and body (Fetch standard, HTTP-redirect fetch, step 12): 307 and 308 keep them. */
function nextHop(hop: Hop, status: number): Hop {
  const becomesGet =
    status === 303 ? hop.method !== 'GET' && hop.method !== 'HEAD' : status < 303 && hop.method === 'POST'
  return becomesGet ? { method: 'GET', headers: keepHeaders(hop, isNotAboutBody), body: null } : hop
}
