/** What a token of another issuer may be signed with: asymmetric signatures only, and what kind of key each takes. */
const keyOfAlgorithm = {
  RS256: { kty: 'RSA', crv: undefined },
  RS384: { kty: 'RSA', crv: undefined },
  RS512: { kty: 'RSA', crv: undefined },
  PS256: { kty: 'RSA', crv: undefined },
  PS384: { kty: 'RSA', crv: undefined },
  PS512: { kty: 'RSA', crv: undefined },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
} as const

export type Algorithm = keyof typeof keyOfAlgorithm

export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const satisfies readonly Algorithm[]

export const isAlgorithm = (text: string): text is Algorithm => Object.hasOwn(keyOfAlgorithm, text)

/** The public half of a key as its issuer published it (RFC 7517), without what nobody here reads. */
export type PublicJwk = {
  kty: string
  crv?: string | undefined
  x?: string | undefined
  y?: string | undefined
  n?: string | undefined
  e?: string | undefined
  kid?: string | undefined
  alg?: string | undefined
}

/** RFC 7518, 3.3: 2048 bits at least. In base64url those are 342 characters; leading zeros are not written. */
const MIN_MODULUS_CHARS = 342

/** Whether a key can have made a signature of an algorithm, and is published for it. */
export function fits(key: PublicJwk, algorithm: Algorithm): boolean {
  const { kty, crv } = keyOfAlgorithm[algorithm]
  if (key.kty !== kty || (crv !== undefined && key.crv !== crv)) return false
  if (key.alg !== undefined && key.alg !== algorithm && !(key.alg === 'Ed25519' && algorithm === 'EdDSA')) return false
  return kty !== 'RSA' || (key.n?.length ?? 0) >= MIN_MODULUS_CHARS
}
