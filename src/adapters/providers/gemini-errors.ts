import type { VendorError } from '../../core/models.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import type { ErrorFacts } from './upstream-http.ts'
import { vendorErrorOf } from './vendor-error.ts'

const DAY_MS = 86_400_000

/** google.rpc.Code by its name, as OpenAI's clients name the same. */
const types: Readonly<Record<string, string>> = {
  INVALID_ARGUMENT: 'invalid_request_error',
  FAILED_PRECONDITION: 'invalid_request_error',
  OUT_OF_RANGE: 'invalid_request_error',
  NOT_FOUND: 'invalid_request_error',
  UNAUTHENTICATED: 'authentication_error',
  PERMISSION_DENIED: 'permission_error',
  RESOURCE_EXHAUSTED: 'rate_limit_error',
}

/**
 * What Google's error body tells (google.rpc.Status, google.rpc.ErrorInfo and google.rpc.RetryInfo): alone, or first
 * in an array. A refused key comes with status 400, as if the caller had been wrong: it is told as 401.
 */
export function geminiErrorFacts(body: unknown): ErrorFacts {
  const outer: unknown = Array.isArray(body) ? body[0] : body
  const error = isObject(outer) ? outer.error : undefined
  if (!isObject(error)) return {}
  const details = objectsOf(error.details)
  return { status: statusOf(error, details), retryAfterMs: retryDelayMs(details), vendor: vendorOf(outer, error) }
}

function statusOf(error: JsonObject, details: readonly JsonObject[]): number | undefined {
  const reasons = details.map(({ reason }) => reason)
  const message = stringOf(error.message) ?? ''
  if (reasons.includes('API_KEY_INVALID') || /^API key (not valid|expired)/i.test(message)) return 401
  // Where the account may call from, and what it has paid for, is the operator's to change, not the caller's.
  if (error.status === 'FAILED_PRECONDITION' && /location is not supported|billing/i.test(message)) return 403
  const code = error.code
  return typeof code === 'number' && Number.isInteger(code) && code >= 400 && code <= 599 ? code : undefined
}

/** A protobuf duration: `34.5s`. */
function retryDelayMs(details: readonly JsonObject[]): number | undefined {
  const info = details.find((detail) => stringOf(detail['@type'])?.endsWith('google.rpc.RetryInfo'))
  const found = /^(\d+(?:\.\d+)?)s$/.exec(stringOf(info?.retryDelay) ?? '')
  return found === null ? undefined : Math.min(Math.ceil(Number(found[1]) * 1000), DAY_MS)
}

function vendorOf(outer: unknown, error: JsonObject): VendorError | undefined {
  const vendor = vendorErrorOf(outer)
  if (vendor === undefined) return undefined
  const status = stringOf(error.status)
  const type = (status && types[status]) || 'upstream_error'
  return {
    message: withoutProject(vendor.message),
    type,
    param: null,
    code: status?.toLowerCase() ?? vendor.code ?? null,
  }
}

/** Keys, tokens, projects and addresses of the account behind the key, which are nobody's business here. */
const accountPatterns: readonly RegExp[] = [
  /\bAIza[\w-]{20,}/g,
  /\bya29\.[\w.-]+/g,
  /\bproject_number:\s*\d+/g,
  /\bprojects?[/ ]+['"]?[\w-]*\d[\w-]*['"]?/gi,
  /\b[\w.-]+@[\w-]+\.iam\.gserviceaccount\.com/g,
  /\b[\w-]+(?:\.[\w-]+)*\.(?:googleapis\.com|internal)\b/g,
  /\bhttps?:\/\/[^\s'"<>)]+/g,
]

/** What the vendor says, without what it says of the account. */
export const withoutProject = (message: string): string =>
  accountPatterns.reduce((text, pattern) => text.replace(pattern, '[redacted]'), message)
