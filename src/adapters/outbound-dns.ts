import * as z from 'zod'
import { isDeniedHost, isPublicAddress, normalHost } from '../core/address.ts'
import { OutboundError } from '../core/outbound.ts'
import { blocked, unresolved } from './outbound-failure.ts'

/** Numbers of RFC 1035 §3.2.2, RFC 3596 and RFC 6672, as the JSON form of DNS writes them. */
const recordTypes = { A: 1, CNAME: 5, AAAA: 28, DNAME: 39 } as const
/** NOERROR and NXDOMAIN are answers; SERVFAIL, REFUSED and the rest mean that nobody could say. */
const answeredStatuses = [0, 3]
const lookupTimeoutMs = 5000

/** What both Cloudflare and Google answer to `accept: application/dns-json`. */
const dnsAnswer = z.object({
  Status: z.number(),
  TC: z.boolean().optional(),
  Answer: z.array(z.object({ type: z.number(), data: z.string() })).optional(),
})
type Record = { type: number; data: string }

/** Throws `OutboundError` unless every address of `host` is public. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<void>

type ResolverOptions = { dohUrl: string; fetch: typeof globalThis.fetch; deniedHosts: readonly string[] }

/**
 * Asks for A and AAAA side by side; both questions must be answered and every address must be public. Nothing is
 * cached, so the time between the answer and the connection, which `fetch` cannot pin, stays as short as it can be.
 * Throws `unresolved` when the resolver could not be asked, `blocked` for what it said.
 */
export function createResolver({ dohUrl, fetch, deniedHosts }: ResolverOptions): Resolve {
  async function ask(host: string, type: 'A' | 'AAAA', signal: AbortSignal): Promise<Record[]> {
    const url = new URL(dohUrl)
    url.searchParams.set('name', host)
    url.searchParams.set('type', type)
    const response = await fetch(url.href, {
      headers: { accept: 'application/dns-json' },
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(lookupTimeoutMs)]),
    })
    const answer = dnsAnswer.parse(response.status === 200 ? await response.json() : undefined)
    if (answer.TC === true || !answeredStatuses.includes(answer.Status)) throw unresolved()
    return answer.Answer ?? []
  }

  return async (host, signal) => {
    const answers = Promise.all([ask(host, 'A', signal), ask(host, 'AAAA', signal)])
    const records = (await answers.catch((error) => rethrowLookup(error, signal))).flat()
    // An alias of one of our own hosts leads there as surely as its name does.
    const aliases = records.filter(({ type }) => type === recordTypes.CNAME || type === recordTypes.DNAME)
    if (aliases.some(({ data }) => isDeniedHost(normalHost(data), deniedHosts))) throw blocked('denied_host')
    const addresses = records.filter(({ type }) => type === recordTypes.A || type === recordTypes.AAAA)
    if (addresses.length === 0) throw blocked('no_address')
    if (!addresses.every(({ data }) => isPublicAddress(data))) throw blocked('private_address')
  }
}

/** The caller's own hanging up keeps its name; everything else on the way to an answer means that there was none. */
function rethrowLookup(error: unknown, signal: AbortSignal): never {
  const reason = signal.aborted ? signal.reason : error
  throw reason instanceof OutboundError && reason.fault === 'aborted' ? reason : unresolved()
}
