import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export type Hostile = { name: string; token: string }

/** What a forger has: everything of one of our keys, and a genuine token's claims. */
export type Forge = {
  kid: string
  claims: Readonly<Record<string, unknown>>
  /** Also our private key, so that a token can be wrong in a single place. */
  ourKey: KeyObject
  ourPublicKey: KeyObject
  ourPublicJwk: Readonly<Record<string, string>>
  theirKey: KeyObject
  theirPublicJwk: Readonly<Record<string, string>>
}

export const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64url')

export function createForge(kid: string, privateJwk: string, claims: Forge['claims']): Forge {
  const ourKey = createPrivateKey({ key: JSON.parse(privateJwk), format: 'jwk' })
  const ourPublicKey = createPublicKey(ourKey)
  const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    kid,
    claims,
    ourKey,
    ourPublicKey,
    ourPublicJwk: publicJwkOf(ourPublicKey),
    theirKey: theirs.privateKey,
    theirPublicJwk: publicJwkOf(theirs.publicKey),
  }
}

function publicJwkOf(key: KeyObject): Record<string, string> {
  const { kty = '', crv = '', x = '', y = '' } = key.export({ format: 'jwk' })
  return { kty, crv, x, y }
}

/** The header of a genuine token, with changes; `undefined` takes a parameter away. */
export const header = ({ kid }: Forge, changes: Record<string, unknown> = {}): string =>
  JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid, ...changes })

/** The claims of a genuine token, with changes. */
export const payload = ({ claims }: Forge, changes: Record<string, unknown> = {}): string =>
  JSON.stringify({ ...claims, ...changes })

/** The claims with one of them written as that text, which need not be JSON. */
export function rawPayload({ claims }: Forge, name: string, text: string): string {
  const members = Object.entries(claims).filter(([known]) => known !== name)
  return `{${[...members.map(([key, value]) => `"${key}":${JSON.stringify(value)}`), `"${name}":${text}`].join(',')}}`
}

export type Parts = { header?: string | Uint8Array; payload?: string | Uint8Array }

export const inputOf = (forge: Forge, parts: Parts): string =>
  `${base64(parts.header ?? header(forge))}.${base64(parts.payload ?? payload(forge))}`

/** R and S, 32 bytes each. */
export const es256 = (key: KeyObject, input: string): Buffer =>
  sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })

/** Signed with our own key: only what is in it can give it away. */
export function signedByUs(forge: Forge, parts: Parts = {}): string {
  const input = inputOf(forge, parts)
  return `${input}.${base64(es256(forge.ourKey, input))}`
}

export function signedByThem(forge: Forge, parts: Parts = {}): string {
  const input = inputOf(forge, parts)
  return `${input}.${base64(es256(forge.theirKey, input))}`
}

export function signedByHmac(forge: Forge, secret: string | Buffer, parts: Parts & { hash?: string }): string {
  const input = inputOf(forge, parts)
  return `${input}.${base64(
    createHmac(parts.hash ?? 'sha256', secret)
      .update(input)
      .digest(),
  )}`
}
