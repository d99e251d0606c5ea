import { errors, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose'
import { type AccessClaims, SKEW_SECONDS } from './shape.ts'

const ALG = 'ES256'
const TYP = 'at+jwt'

export type KeyPair = { publicJwk: Record<string, string>; privateJwk: string }

/** A new pair of P-256 keys; the private half as JSON, to be sealed. */
export async function createKeyPair(): Promise<KeyPair> {
  const { publicKey, privateKey } = await generateKeyPair(ALG, { extractable: true })
  const { kty = '', crv = '', x = '', y = '' } = await exportJWK(publicKey)
  return { publicJwk: { kty, crv, x, y }, privateJwk: JSON.stringify(await exportJWK(privateKey)) }
}

/** A half of a pair as the runtime holds it. Throws for a key that is not on P-256. */
export async function importKey(jwk: Readonly<Record<string, string>>): Promise<CryptoKey> {
  const key = await importJWK({ ...jwk }, ALG)
  if (!('algorithm' in key)) throw new Error('A signing key is not an elliptic curve key.')
  return key
}

/** Signs claims as an access token (RFC 9068). */
export function signToken(
  { iss, ...claims }: AccessClaims & { iss: string },
  { kid, key }: { kid: string; key: CryptoKey },
): Promise<string> {
  return new SignJWT({ iss, ...claims, ver: 1 }).setProtectedHeader({ alg: ALG, typ: TYP, kid }).sign(key)
}

/** Whether the key signed the token for this issuer. The algorithm is the key's, whatever the token says. */
export async function isSignedBy(
  key: CryptoKey,
  token: string,
  { issuer, nowMs }: { issuer: string; nowMs: number },
): Promise<boolean> {
  try {
    await jwtVerify(token, key, {
      algorithms: [ALG],
      typ: TYP,
      issuer,
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'aud'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(nowMs),
    })
    return true
  } catch (error) {
    if (error instanceof errors.JOSEError) return false
    throw error
  }
}
