import { hashSecretToken, newSecretToken } from '../../core/secret-token.ts'

const PREFIX = 'hxr'
const FORM = new RegExp(`^${PREFIX}_[\\w-]{43}$`)

/** A refresh token may rest this long, and each use begins that time anew. */
export const IDLE_SECONDS = 30 * 24 * 3600
/** A session ends this long after it was opened, however often it is refreshed. */
export const SESSION_SECONDS = 90 * 24 * 3600

/** What a sign-in and a refresh give (RFC 6749, 5.1). Times in seconds from now. */
export type TokenPair = {
  access_token: string
  token_type: 'bearer'
  expires_in: number
  refresh_token: string
  refresh_expires_in: number
}

export type RefreshToken = { token: string; hash: string }

/** A new refresh token and the hash that is all we keep of it. */
export async function createRefreshToken(): Promise<RefreshToken> {
  const token = newSecretToken(PREFIX)
  return { token, hash: await hashSecretToken(token) }
}

/** The hash of a text that may be a refresh token; undefined for any other text. */
export async function hashRefreshToken(text: string): Promise<string | undefined> {
  return FORM.test(text) ? hashSecretToken(text) : undefined
}
