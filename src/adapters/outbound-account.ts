import { judgeUrl, type UrlRules } from '../core/address.ts'
import { type Outbound, OutboundError } from '../core/outbound.ts'
import { sentBody } from './outbound-body.ts'
import type { Resolve } from './outbound-dns.ts'
import { blocked, connectFailure, watchRequest } from './outbound-failure.ts'

type AccountOptions = { rules: UrlRules; resolve: Resolve; fetch: typeof globalThis.fetch }

/**
 * Sends to a provider whose address an organisation named. Every call is judged like one to any other address that a
 * caller named; but no redirect is followed, which would carry the key elsewhere, and the body may take its time.
 * Throws `OutboundError`.
 */
export function createAccountSend({ rules, resolve, fetch }: AccountOptions): Outbound {
  return async (request) => {
    const verdict = judgeUrl(request.url, rules)
    if (!verdict.allowed) throw blocked(verdict.refusal)
    const { url, host, known } = verdict
    const watch = watchRequest(request)
    try {
      if (!known) await resolve(host, watch.signal)
      return await fetch(url.href, {
        method: request.method ?? 'GET',
        headers: request.headers ?? {},
        ...sentBody(request),
        redirect: 'manual',
        signal: watch.signal,
      })
    } catch (error) {
      watch.stopListening()
      if (error instanceof OutboundError) throw error
      throw watch.signal.aborted ? watch.signal.reason : connectFailure(error, url.origin, request.headers)
    } finally {
      watch.headersArrived()
    }
  }
}
