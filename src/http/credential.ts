import { AppError } from '../core/errors.ts'

const BEARER = /^Bearer +([^\s,]+)$/i

function bearerOf(header: string): string {
  const token = BEARER.exec(header)?.[1]
  if (token === undefined) {
    throw new AppError(
      'invalid_api_key',
      'The Authorization header must hold one API key or access token, as "Bearer …".',
    )
  }
  return token
}

/** What every API key begins with; only the bearer header takes access tokens too. */
const KEY_PREFIX = 'hx_'

/**
 * The caller's credential: an API key or access token from `Authorization: Bearer`, or an API key from `x-api-key`.
 * Throws 401: `missing_api_key` when there is none, `invalid_api_key` when it is not exactly one.
 */
export function credentialOf(headers: Headers): string {
  const authorization = headers.get('authorization')
  const apiKey = headers.get('x-api-key') || undefined
  // A client configured with an empty key sends the bare word.
  const bearer = !authorization || /^Bearer$/i.test(authorization) ? undefined : bearerOf(authorization)
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) {
    throw new AppError('invalid_api_key', 'Authorization and x-api-key hold different credentials.')
  }
  if (apiKey !== undefined && !apiKey.startsWith(KEY_PREFIX)) {
    throw new AppError('invalid_api_key', 'x-api-key takes an API key only.')
  }
  const credential = bearer ?? apiKey
  if (credential === undefined) {
    throw new AppError(
      'missing_api_key',
      'Send an API key or an access token in "Authorization: Bearer", or an API key in "x-api-key".',
    )
  }
  return credential
}

/** The address that the request came from, as Cloudflare saw it. */
export const addressOf = (request: Request): string => request.headers.get('cf-connecting-ip') ?? 'unknown'
