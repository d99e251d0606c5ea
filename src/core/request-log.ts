import { ipv4Number, parseIpv6 } from './address.ts'
import type { Policy } from './admission.ts'
import type { Decision } from './decision.ts'

const MAX_USER_AGENT_CHARS = 256

/** A row of `request_log`: that a known caller asked for something, and how it ended. Never what it said. */
export type RequestRow = {
  request_id: string
  org_id: string
  key_id: string
  user_id: string | null
  method: string
  /** The route as declared: what stood in place of its parameters is not kept. */
  path: string
  status_code: number
  error_code: string | null
  ip: string | null
  user_agent: string | null
  client_request_id: string | null
  response_time_ms: number
  /** Of the body; null for one that came without a length. */
  bytes_in: number | null
  /** Of the body as it was written; null where nobody counted. */
  bytes_out: number | null
  created_at: number
}

/** What is known of a request when it comes in. */
export type Arrival = {
  requestId: string
  method: string
  path: string
  ip: string
  userAgent: string | null
  clientRequestId: string | undefined
  bytesIn: number | null
  /** Its response, once that begins; one that is still being written has no length yet. */
  response: Promise<{ statusCode: number; bytesOut: number | null }>
  /** Set by whoever books the call: its row then goes with the settlement, and nobody else writes it. */
  isBooked: boolean
  /** Set by a call of a model: what it notes of where it goes. */
  decision?: Decision | undefined
  parentRequestId?: undefined
}

/** Of a call that was made inside a request, or by a job: it has a decision of its own, and no line in the log. */
export type MadeWithin = Pick<Arrival, 'isBooked' | 'decision'> & {
  /** The request that the call was made for. */
  parentRequestId: string
  response?: undefined
}

type Ended = {
  policy: Pick<Policy, 'orgId' | 'keyId' | 'userId'>
  statusCode: number
  errorCode: string | null
  durationMs: number
  bytesOut: number | null
  /** Unix seconds. */
  nowSeconds: number
}

export function requestRow(arrival: Arrival, ended: Ended): RequestRow {
  const { policy } = ended
  return {
    request_id: arrival.requestId,
    org_id: policy.orgId,
    key_id: policy.keyId,
    user_id: policy.userId ?? null,
    method: arrival.method,
    path: arrival.path,
    status_code: ended.statusCode,
    error_code: ended.errorCode,
    ip: shortIp(arrival.ip),
    user_agent: arrival.userAgent?.slice(0, MAX_USER_AGENT_CHARS).toWellFormed() ?? null,
    client_request_id: arrival.clientRequestId ?? null,
    response_time_ms: Math.max(0, Math.round(ended.durationMs)),
    bytes_in: arrival.bytesIn,
    bytes_out: ended.bytesOut,
    created_at: ended.nowSeconds,
  }
}

/** The /24 of an IPv4 address, the /48 of an IPv6 one; null for what is no address. */
export function shortIp(ip: string): string | null {
  const ipv4 = ipv4Number(ip)
  if (ipv4 !== undefined) return `${ip.slice(0, ip.lastIndexOf('.'))}.0/24`
  const groups = parseIpv6(ip)
  if (groups === undefined) return null
  const [a = 0, b = 0, c = 0, d, e, f, g = 0] = groups
  const isMapped = a === 0 && b === 0 && c === 0 && d === 0 && e === 0 && f === 0xffff
  if (isMapped) return `${g >> 8}.${g & 255}.${(groups[7] ?? 0) >> 8}.0/24`
  return `${a.toString(16)}:${b.toString(16)}:${c.toString(16)}::/48`
}
