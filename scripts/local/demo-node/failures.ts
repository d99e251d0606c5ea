/** An error that becomes a status and an error body, in the shape of the route's family. */
export type HttpFailure = Error & { status: number; headers: Readonly<Record<string, string>> }

export function httpFailure(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): HttpFailure {
  return Object.assign(new Error(message), { status, headers })
}

export function isHttpFailure(error: unknown): error is HttpFailure {
  return error instanceof Error && 'status' in error && typeof error.status === 'number'
}

/** Body of an error on the native routes. */
export function nativeError(message: string) {
  return { error: message }
}

/** Body of an error on the OpenAI-compatible routes. */
export function openaiError(status: number, message: string) {
  const type = status === 400 ? 'invalid_request_error' : status === 404 ? 'not_found_error' : 'api_error'
  return { error: { message, type, param: null, code: null } }
}
