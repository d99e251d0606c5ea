import { UpstreamError, type VendorError } from '../../core/models.ts'
import { isObject, stringOf } from './json-shape.ts'
import { reportedError, type Upstream } from './upstream-http.ts'

/** Types of the vendor's errors, with the status that each has where it is not part of a stream. */
const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

/** In OpenAI's words, where those differ. */
const labels: Readonly<Record<string, Pick<VendorError, 'type' | 'code'>>> = {
  billing_error: { type: 'insufficient_quota', code: 'insufficient_quota' },
  not_found_error: { type: 'invalid_request_error', code: 'not_found' },
  request_too_large: { type: 'invalid_request_error', code: 'request_too_large' },
  rate_limit_error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  api_error: { type: 'server_error', code: null },
  timeout_error: { type: 'server_error', code: 'timeout' },
  overloaded_error: { type: 'server_error', code: 'overloaded' },
}

/** The vendor says these with a 400, as if the caller could do something about it. */
const UNPAID = /credit balance is too low|specified (workspace )?(api )?usage limits/i
const TOO_LONG = /prompt is too long|exceed context limit/i

/**
 * A failure of this vendor in the gateway's words: OpenAI's labels, and the status that fits. An account that cannot
 * pay is 402, whatever its status said: another provider may be asked.
 */
export function mappedFailure(failure: UpstreamError): UpstreamError {
  const { vendor, fault } = failure
  if (vendor === undefined) return failure
  const isUnpaid = vendor.type === 'billing_error' || UNPAID.test(vendor.message)
  const status = isUnpaid ? 402 : (failure.status ?? statusOf(vendor.type))
  return new UpstreamError(fault, failure.message, {
    ...(status === undefined ? {} : { status }),
    retryAfterMs: failure.retryAfterMs,
    vendor: { ...vendor, ...labelOf(vendor, isUnpaid) },
    cause: failure.cause,
  })
}

const statusOf = (type: string | null | undefined): number | undefined =>
  type && Object.hasOwn(statuses, type) ? statuses[type] : undefined

function labelOf({ type, message }: VendorError, isUnpaid: boolean): Pick<VendorError, 'type' | 'code'> {
  if (isUnpaid) return labels.billing_error ?? {}
  if (TOO_LONG.test(message)) return { type: 'invalid_request_error', code: 'context_length_exceeded' }
  return (type && Object.hasOwn(labels, type) ? labels[type] : undefined) ?? {}
}

/** The failure that an `error` event, or a document in place of a stream, stands for. */
export function reportedFailure(
  upstream: Pick<Upstream, 'name' | 'secret' | 'baseUrl'>,
  parsed: unknown,
): UpstreamError {
  // Proxies leave the frame away, and put type and message where the frame would be.
  const framed = isObject(parsed) && !('error' in parsed) && stringOf(parsed.message) ? { error: parsed } : parsed
  const failure = reportedError(upstream, framed)
  return failure === undefined
    ? new UpstreamError('reported', `${upstream.name} reported an error without words.`)
    : mappedFailure(failure)
}
