import * as z from 'zod'
import { roles } from '../../core/roles.ts'
import { type AccessClaims, audiences, LIFETIME_SECONDS, looksLikeAccessToken, SKEW_SECONDS } from './shape.ts'

const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-z]{1,64}$`))

/** Exactly these three: whatever else a header may hold (RFC 7515, 4.1) asks a verifier to trust the token itself. */
const Header = z.strictObject({ alg: z.literal('ES256'), typ: z.literal('at+jwt'), kid: idOf('sig') })

const Claims = z.object({
  iss: z.string(),
  aud: z.enum(audiences),
  sub: idOf('usr'),
  org: idOf('org'),
  sid: idOf('ses'),
  role: z.enum(roles),
  scope: z.string().regex(/^(?:[a-z_*:]+(?: [a-z_*:]+)*)?$/),
  jti: idOf('tok'),
  iat: z.int().min(0),
  nbf: z.int().min(0).optional(),
  exp: z.int().min(0),
  ver: z.literal(1),
})

/** A token whose form and claims are as we mint them; its signature is still to be verified. */
export type Unverified = { kid: string; claims: AccessClaims }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A segment's JSON, if it is written as we write it: base64url in its one canonical form, JSON as `JSON.stringify`
 * prints it. A name that comes twice, of which a parser would silently take the last, does not survive that.
 * Throws for what is no JSON.
 */
function parseSegment(segment: string): unknown {
  const bytes = Buffer.from(segment, 'base64url')
  if (bytes.toString('base64url') !== segment) return undefined
  const text = decoder.decode(bytes)
  const value: unknown = JSON.parse(text)
  return JSON.stringify(value) === text ? value : undefined
}

function segmentsOf(token: string): { header: unknown; payload: unknown } | undefined {
  if (!looksLikeAccessToken(token)) return undefined
  const [header = '', payload = '', signature = ''] = token.split('.')
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) return undefined
  try {
    return { header: parseSegment(header), payload: parseSegment(payload) }
  } catch {
    return undefined
  }
}

const isTimely = ({ iat, nbf, exp }: z.output<typeof Claims>, now: number): boolean =>
  iat <= now + SKEW_SECONDS &&
  (nbf ?? iat) <= now + SKEW_SECONDS &&
  now < exp + SKEW_SECONDS &&
  exp > iat &&
  exp - iat <= LIFETIME_SECONDS

/** What an access token of this issuer says at this time (Unix seconds), before its signature is verified. */
export function readToken(token: string, { issuer, now }: { issuer: string; now: number }): Unverified | undefined {
  const segments = segmentsOf(token)
  const header = Header.safeParse(segments?.header)
  const payload = Claims.safeParse(segments?.payload)
  if (!header.success || !payload.success) return undefined
  if (payload.data.iss !== issuer || !isTimely(payload.data, now)) return undefined
  const { sub, org, sid, role, scope, aud, jti, iat, exp } = payload.data
  return { kid: header.data.kid, claims: { sub, org, sid, role, scope, aud, jti, iat, exp } }
}
