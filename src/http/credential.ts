import { AppError } from '../core/errors.ts'

const BEARER = /^Bearer +([^\s,]+)$/i

function bearerOf(header: string): string {
  const token = BEARER.exec(header)?.[1]
  if (token === undefined) {
    throw new AppError('invalid_api_key', 'The Authorization header must hold one key, as "Bearer <key>".')
  }
  return token
}

/**
 * The caller's key, from `Authorization: Bearer` or `x-api-key`.
 * Throws 401: `missing_api_key` when there is none, `invalid_api_key` when it is not exactly one.
 */
export function credentialOf(headers: Headers): string {
  const authorization = headers.get('authorization')
  const apiKey = headers.get('x-api-key') || undefined
  // A client configured with an empty key sends the bare word.
  const bearer = !authorization || /^Bearer$/i.test(authorization) ? undefined : bearerOf(authorization)
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) {
    throw new AppError('invalid_api_key', 'Authorization and x-api-key hold different keys.')
  }
  const credential = bearer ?? apiKey
  if (credential === undefined) {
    throw new AppError('missing_api_key', 'No API key was given. Send it as "Authorization: Bearer <key>".')
  }
  return credential
}

/** The address that the request came from, as Cloudflare saw it. */
export const addressOf = (request: Request): string => request.headers.get('cf-connecting-ip') ?? 'unknown'
