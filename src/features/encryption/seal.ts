/** AES-256-GCM with a random 96-bit IV (NIST SP 800-38D) through WebCrypto. Knows neither stores nor settings. */

const IV_BYTES = 12
const DATA_KEY_BYTES = 32
const SEALED = /^v1\.([1-9]\d{0,8})\.([\w-]{16})\.([\w-]{22,})$/

/** Where a value is stored. A sealed text opens at the place it was sealed for and at no other. */
export type Place = { orgId: string; table: string; column: string; rowId: string }

/** A text or a key that does not open. It never says why: the reason would help only who should not read it. */
export class SealError extends Error {
  override readonly name = 'SealError'
  readonly code = 'unreadable'

  constructor() {
    super('What is stored here cannot be read.')
  }
}

export type Encrypted = { iv: string; body: string }

const encoder = new TextEncoder()
// A leading byte-order mark is a character of the value like any other.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that no two different lists share, whatever their texts hold. */
const associatedData = (bound: readonly (string | number)[]): Uint8Array => encoder.encode(JSON.stringify(bound))

/** Encrypts bytes and binds them to a list of facts, all of which must be named again to decrypt them. */
export async function encrypt(
  key: CryptoKey,
  bound: readonly (string | number)[],
  bytes: Uint8Array,
): Promise<Encrypted> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const body = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: associatedData(bound) }, key, bytes)
  return { iv: Buffer.from(iv).toString('base64url'), body: Buffer.from(body).toString('base64url') }
}

/** Throws `SealError` unless key, facts, IV and every bit of the body are what they were. */
export async function decrypt(
  key: CryptoKey,
  bound: readonly (string | number)[],
  { iv, body }: Encrypted,
): Promise<Uint8Array> {
  const [ivBytes, bodyBytes] = [bytesOf(iv), bytesOf(body)]
  const parameters = { name: 'AES-GCM', iv: ivBytes, additionalData: associatedData(bound) }
  try {
    return new Uint8Array(await crypto.subtle.decrypt(parameters, key, bodyBytes))
  } catch {
    throw new SealError()
  }
}

/** Base64url may write the same bytes in several ways; only the one that we write is taken. */
function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) throw new SealError()
  return new Uint8Array(bytes)
}

export const encodeText = (text: string): Uint8Array => encoder.encode(text)
export const decodeText = (bytes: Uint8Array): string => decoder.decode(bytes)

export const newDataKeyBytes = (): Uint8Array => crypto.getRandomValues(new Uint8Array(DATA_KEY_BYTES))

/** A data key as it is used: it never leaves the runtime again. Throws `SealError` for bytes of another length. */
export function importDataKey(bytes: Uint8Array): Promise<CryptoKey> {
  if (bytes.length !== DATA_KEY_BYTES) throw new SealError()
  return crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt'])
}

/** A data key and the version that texts sealed with it name. */
export type VersionedKey = { version: number; key: CryptoKey }

const boundTo = ({ orgId, table, column, rowId }: Place, version: number) => [
  'helix/sealed',
  orgId,
  table,
  column,
  rowId,
  version,
]

/**
 * `v1.<data key version>.<iv>.<ciphertext and tag>`, both base64url. Half a surrogate pair, which UTF-8 cannot hold,
 * is read back as U+FFFD.
 */
export const sealText = (key: VersionedKey, place: Place, plaintext: string): Promise<string> =>
  sealBytes(key, place, encodeText(plaintext))

/** The same form for bytes that are no text. */
export async function sealBytes({ version, key }: VersionedKey, place: Place, bytes: Uint8Array): Promise<string> {
  const { iv, body } = await encrypt(key, boundTo(place, version), bytes)
  return `v1.${version}.${iv}.${body}`
}

export type SealedText = Encrypted & { version: number }

/** The parts of a sealed text. Throws `SealError` for anything else. */
export function parseSealed(text: string): SealedText {
  const [, version, iv, body] = SEALED.exec(text) ?? []
  if (version === undefined || iv === undefined || body === undefined) throw new SealError()
  return { version: Number(version), iv, body }
}

/** Throws `SealError` unless the text was sealed with this key for this place. */
export async function openText(key: CryptoKey, place: Place, sealed: SealedText): Promise<string> {
  return decodeText(await openBytes(key, place, sealed))
}

/** Throws as `openText` does. */
export const openBytes = (key: CryptoKey, place: Place, sealed: SealedText): Promise<Uint8Array> =>
  decrypt(key, boundTo(place, sealed.version), sealed)
