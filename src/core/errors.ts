/**
 * Every way a request can fail on purpose: the status and the OpenAI error type of each code.
 * The table is closed: a new situation earns a row here and a page in features/docs/error-pages.ts.
 */
const codes = {
  invalid_request: { status: 400, type: 'invalid_request_error', retryable: false },
  missing_api_key: { status: 401, type: 'authentication_error', retryable: false },
  invalid_api_key: { status: 401, type: 'authentication_error', retryable: false },
  permission_denied: { status: 403, type: 'permission_error', retryable: false },
  invalid_credentials: { status: 401, type: 'authentication_error', retryable: false },
  wrong_password: { status: 400, type: 'invalid_request_error', retryable: false },
  not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  model_not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  method_not_allowed: { status: 405, type: 'invalid_request_error', retryable: false },
  conflict: { status: 409, type: 'invalid_request_error', retryable: false },
  idempotency_in_progress: { status: 409, type: 'invalid_request_error', retryable: true },
  idempotency_mismatch: { status: 422, type: 'invalid_request_error', retryable: false },
  payload_too_large: { status: 413, type: 'invalid_request_error', retryable: false },
  unsupported_media_type: { status: 415, type: 'invalid_request_error', retryable: false },
  content_blocked: { status: 400, type: 'content_filter', retryable: false },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  request_exceeds_limit: { status: 429, type: 'rate_limit_error', retryable: false },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retryable: false },
  wrong_capability: { status: 400, type: 'invalid_request_error', retryable: false },
  too_long: { status: 422, type: 'invalid_request_error', retryable: false },
  undecodable_image: { status: 422, type: 'invalid_request_error', retryable: false },
  no_audio_stream: { status: 422, type: 'invalid_request_error', retryable: false },
  already_finished: { status: 409, type: 'invalid_request_error', retryable: false },
  outbound_blocked: { status: 422, type: 'invalid_request_error', retryable: false },
  no_target_within_caps: { status: 400, type: 'invalid_request_error', retryable: false },
  model_overloaded: { status: 503, type: 'server_error', retryable: true },
  no_capable_model: { status: 503, type: 'server_error', retryable: true },
  provider_error: { status: 502, type: 'upstream_error', retryable: true },
  network_error: { status: 502, type: 'upstream_error', retryable: true },
  all_providers_failed: { status: 502, type: 'upstream_error', retryable: true },
  model_output_invalid: { status: 502, type: 'upstream_error', retryable: true },
  ensemble_failed: { status: 502, type: 'upstream_error', retryable: true },
  upstream_timeout: { status: 504, type: 'upstream_error', retryable: true },
  configuration_error: { status: 503, type: 'server_error', retryable: false },
  dependency_unavailable: { status: 503, type: 'server_error', retryable: true },
  budget_unavailable: { status: 503, type: 'server_error', retryable: true },
  internal: { status: 500, type: 'server_error', retryable: false },
} as const

export type ErrorCode = keyof typeof codes
export const errorCodes: Readonly<Record<ErrorCode, { status: number; type: string; retryable: boolean }>> = codes

/** One thing wrong with the input: a JSON pointer into the body (or a parameter's name) and the rule it broke. */
export type FieldError = { pointer: string; detail: string }

type Extra = {
  /** The field at fault, as OpenAI clients expect it: `messages[0].content`. */
  param?: string | undefined
  retryAfterSeconds?: number | undefined
  /** Overrides the table, for the one case of passing a vendor's own client error through. */
  status?: number | undefined
  type?: string | undefined
  wireCode?: string | null | undefined
  fields?: readonly FieldError[] | undefined
  /** Facts for the body beside the four of OpenAI: `attempted`, `capability`. Never a secret. */
  details?: Readonly<Record<string, unknown>> | undefined
  /** Further headers of the response: the state of the limit that refused. */
  headers?: Readonly<Record<string, string>> | undefined
  cause?: unknown
}

/** The only error a feature throws on purpose. Its message is safe to show to the caller. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly status: number
  readonly type: string
  /** The `code` on the wire: ours, or the vendor's when its error is passed through. */
  readonly wireCode: string | null
  readonly retryable: boolean
  readonly param: string | undefined
  readonly retryAfterSeconds: number | undefined
  readonly fields: readonly FieldError[]
  readonly details: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, extra: Extra = {}) {
    super(message, { cause: extra.cause })
    this.code = code
    this.status = extra.status ?? codes[code].status
    this.type = extra.type ?? codes[code].type
    this.wireCode = extra.wireCode === undefined ? code : extra.wireCode
    this.retryable = codes[code].retryable
    this.param = extra.param
    this.retryAfterSeconds = extra.retryAfterSeconds
    this.fields = extra.fields ?? []
    this.details = extra.details ?? {}
    this.headers = extra.headers ?? {}
  }
}

export const notFound = (what: string) => new AppError('not_found', `No such ${what}.`)

/** 422 for a field of a body that is of the right form and still not right; dots lead to a field of a field. */
export const unfit = (field: string, detail: string) =>
  new AppError('invalid_request', `${field}: ${detail}`, {
    status: 422,
    param: field,
    fields: [{ pointer: `/${field.replaceAll('.', '/')}`, detail }],
  })

/** A refusal of what came in a field, by somebody who did not know in which; what is no refusal stays as it is. */
export function ofField(thrown: unknown, field: string): unknown {
  if (!(thrown instanceof AppError)) return thrown
  const { code, message, cause } = thrown
  return new AppError(code, message, {
    ...thrown,
    cause,
    param: field,
    fields: [{ pointer: `/${field}`, detail: message }],
  })
}

/** A store or binding that this program needs did not answer. Shown as 503, never as a bad key or an empty answer. */
export class DependencyError extends Error {
  override readonly name = 'DependencyError'
  readonly dependency: 'redis' | 'postgres' | 'ledger' | 'mail' | 'health' | 'gate' | 'queue' | 'bucket'

  constructor(dependency: DependencyError['dependency'], cause: unknown) {
    super(`${dependency} did not answer`, { cause })
    this.dependency = dependency
  }
}
