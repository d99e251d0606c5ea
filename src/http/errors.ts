import type { Admission } from '../core/admission.ts'
import { AppError, DependencyError, type ErrorCode } from '../core/errors.ts'
import { commonHeaders, type Exchange } from './exchange.ts'
import type { Dialect } from './route.ts'
import { wholeResponse } from './whole.ts'

const MAX_CAUSES = 5

/** An error and what caused it, outermost first. */
function describe(error: unknown): string[] {
  const lines: string[] = []
  for (let cause = error; cause !== undefined && lines.length < MAX_CAUSES; ) {
    lines.push(cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return lines
}

/** The code under which a failure is shown. */
export function failureCodeOf(thrown: unknown): ErrorCode {
  if (thrown instanceof AppError) return thrown.code
  return thrown instanceof DependencyError ? 'dependency_unavailable' : 'internal'
}

/** What the caller may know of any failure; what they may not goes to the log under the request's id. */
function asAppError(thrown: unknown, { requestId, log }: Exchange): AppError {
  if (thrown instanceof AppError) {
    if (thrown.status >= 500) {
      log.warn('request_failed', { request_id: requestId, code: thrown.code, causes: describe(thrown) })
    }
    return thrown
  }
  if (thrown instanceof DependencyError) {
    const facts = { request_id: requestId, dependency: thrown.dependency, causes: describe(thrown) }
    log.error('dependency_failed', facts)
    return new AppError('dependency_unavailable', 'Something that this gateway needs did not answer. Try again.')
  }
  const stack = thrown instanceof Error ? thrown.stack : undefined
  log.error('request_crashed', { request_id: requestId, causes: describe(thrown), stack })
  return new AppError('internal', `Something went wrong on our side. Quote ${requestId} when you report it.`)
}

function openaiBody(error: AppError) {
  return {
    error: {
      ...error.details,
      message: error.message,
      type: error.type,
      param: error.param ?? null,
      code: error.wireCode,
      ...(error.retryable && { retryable: true }),
    },
  }
}

/** https://platform.claude.com/docs/en/api/errors */
const anthropicTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

/** What Anthropic calls an error of this status. */
export const anthropicTypeOf = (status: number): string =>
  anthropicTypes[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')

const anthropicBody = ({ status, code, message }: AppError, { requestId }: Exchange) => ({
  type: 'error',
  error: { type: anthropicTypeOf(code === 'model_overloaded' ? 529 : status), message },
  request_id: requestId,
})

/** The sentence without its details, the same for every occurrence: `rate_limit_exceeded` → `Rate limit exceeded`. */
const titleOf = (code: string) => code.charAt(0).toUpperCase() + code.slice(1).replaceAll('_', ' ')

function problemBody(error: AppError, { path, requestId }: Exchange) {
  return {
    ...error.details,
    type: `/docs/errors/${error.code}`,
    title: titleOf(error.code),
    status: error.status,
    detail: error.message,
    instance: path,
    code: error.wireCode ?? error.code,
    request_id: requestId,
    ...(error.fields.length > 0 && { errors: error.fields }),
    ...(error.retryable && { retryable: true }),
  }
}

type Surroundings = { admission?: Admission | undefined; headers?: Readonly<Record<string, string>> }

/** The one place where an error becomes bytes. Never throws, and shows nothing of an error that was not meant. */
export function errorResponse(thrown: unknown, exchange: Exchange, around: Surroundings = {}): Response {
  const error = asAppError(thrown, exchange)
  const headers: Record<string, string> = {
    ...commonHeaders(exchange, around.admission),
    ...around.headers,
    ...error.headers,
    'content-type': exchange.dialect === 'problem' ? 'application/problem+json' : 'application/json',
    'cache-control': 'no-store',
  }
  if (error.retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.ceil(error.retryAfterSeconds))
  if (error.status === 401) headers['www-authenticate'] = 'Bearer'
  return wholeResponse(JSON.stringify(bodies[exchange.dialect](error, exchange)), { status: error.status, headers })
}

const bodies: Readonly<Record<Dialect, (error: AppError, exchange: Exchange) => object>> = {
  openai: openaiBody,
  anthropic: anthropicBody,
  problem: problemBody,
}
