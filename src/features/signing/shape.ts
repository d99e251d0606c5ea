import type { Role } from '../../core/roles.ts'

/** Whom a token is for: the gateway of an organisation, or platform staff. */
export const audiences = ['helix', 'helix-admin'] as const
export type Audience = (typeof audiences)[number]

/** What a verified token says. Times in Unix seconds; `scope` holds scopes and markers, separated by spaces. */
export type AccessClaims = {
  sub: string
  org: string
  sid: string
  role: Role
  scope: string
  aud: Audience
  jti: string
  iat: number
  exp: number
}

export const LIFETIME_SECONDS = 30 * 60
/** How far the clocks of two isolates may be apart. */
export const SKEW_SECONDS = 60

const MAX_TOKEN_CHARS = 4096
/** JSON whose first member is named, twice, and the 64 bytes of an ES256 signature (RFC 7518, 3.4). */
const SHAPE = /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{86}$/

/** Whether a text could be an access token: a look at its letters that costs nothing. */
export const looksLikeAccessToken = (text: string): boolean => text.length <= MAX_TOKEN_CHARS && SHAPE.test(text)
