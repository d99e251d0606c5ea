import * as z from 'zod'
import { isDeeperThan } from '../../http/json-depth.ts'
import { findUnstorable } from '../../http/storable.ts'
import { refused } from './refusal.ts'

export const MAX_TOKEN_CHARS = 16 * 1024
const MAX_DEPTH = 16

/** Parameters that ask a verifier to take a key from the token, or to read it by other rules than ours. */
const CLOSED_PARAMETERS = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'enc', 'epk', 'apu', 'apv', 'p2s', 'p2c']
/** An ID token or an access token (RFC 9068). A logout token or a proof of possession is signed by the same key. */
const TYPES = ['jwt', 'at+jwt', 'application/at+jwt', 'application/jwt']

const Header = z
  .object({
    alg: z.string().min(1).max(16),
    kid: z.string().min(1).max(512).optional(),
    typ: z
      .string()
      .refine((typ) => TYPES.includes(typ.toLowerCase()))
      .optional(),
  })
  .loose()
  .refine((header) => CLOSED_PARAMETERS.every((name) => !Object.hasOwn(header, name)))

const Audience = z.string().min(1).max(512)
const time = z.number().min(0).max(Number.MAX_SAFE_INTEGER)

const Claims = z
  .object({
    iss: z.string().min(1).max(512),
    aud: z.union([Audience.transform((one) => [one]), z.array(Audience).min(1).max(50)]),
    exp: time,
    nbf: time.optional(),
    iat: time.optional(),
    azp: z.string().max(512).optional(),
  })
  .loose()

/** All that a token says, by name. */
export type TokenClaims = Readonly<Record<string, unknown>>

/** A token that has the form of one. Nothing that it says is known to be true. Times in Unix seconds. */
export type UnverifiedToken = {
  text: string
  alg: string
  kid: string | undefined
  issuer: string
  audiences: readonly string[]
  authorizedParty: string | undefined
  notBefore: number | undefined
  issuedAt: number | undefined
  claims: TokenClaims
}

const SEGMENT = /^[\w-]+$/
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseSegment(segment: string): unknown {
  const text = decoder.decode(Buffer.from(segment, 'base64url'))
  if (isDeeperThan(text, MAX_DEPTH)) throw new SyntaxError('too deep')
  const value: unknown = JSON.parse(text)
  if (findUnstorable(value)) throw new SyntaxError('not a text that a store keeps')
  return value
}

function segmentsOf(text: string): { header: unknown; payload: unknown } {
  const segments = text.length <= MAX_TOKEN_CHARS ? text.split('.') : []
  const [header = '', payload = ''] = segments
  if (segments.length !== 3 || !segments.every((segment) => SEGMENT.test(segment))) throw refused('malformed')
  try {
    return { header: parseSegment(header), payload: parseSegment(payload) }
  } catch {
    throw refused('malformed')
  }
}

/** Reads a signed JWT (RFC 7519, compact form) without verifying it. Throws 401 for everything else. */
export function readToken(text: string): UnverifiedToken {
  const segments = segmentsOf(text)
  const header = Header.safeParse(segments.header)
  const payload = Claims.safeParse(segments.payload)
  if (!header.success || !payload.success) throw refused('malformed')
  const { alg, kid } = header.data
  const { iss, aud, azp, nbf, iat } = payload.data
  return {
    text,
    alg,
    kid,
    issuer: iss,
    audiences: aud,
    authorizedParty: azp,
    notBefore: nbf,
    issuedAt: iat,
    claims: payload.data,
  }
}
