/** `hx_<live|test>_<12 public id><43 secret><6 checksum>`, all base62, parsed by length. */

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const PREFIX_CHARS = 'hx_live_'.length
const PUBLIC_ID_CHARS = 12
const SECRET_CHARS = 43
const CHECKSUM_CHARS = 6
const SHAPE = /^hx_(live|test)_([0-9A-Za-z]{12})([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

export type KeyMode = 'live' | 'test'
export type ParsedKey = { mode: KeyMode; publicId: string }

/** A new key with 32 bytes of randomness in its secret part. Shown once, never stored. */
export function createKey(mode: KeyMode): string {
  const body = `hx_${mode}_${randomBase62(PUBLIC_ID_CHARS)}${randomSecret()}`
  return body + checksum(body)
}

/** The part that may be shown, of a key of `createKey`. */
export const publicIdOf = (key: string): string => key.slice(PREFIX_CHARS, PREFIX_CHARS + PUBLIC_ID_CHARS)

/** Undefined for anything that is not a well-formed key; the checksum spares every store a look-up for a typing error. */
export function parseKey(text: string): ParsedKey | undefined {
  const match = SHAPE.exec(text)
  if (!match) return undefined
  const [, mode, publicId, , given] = match
  if (checksum(text.slice(0, -CHECKSUM_CHARS)) !== given || publicId === undefined) return undefined
  return { mode: mode === 'live' ? 'live' : 'test', publicId }
}

/** CRC-32 (ISO 3309) in base62: not a secret, only a guard against typing errors and truncation. */
function checksum(text: string): string {
  let crc = 0xffffffff
  for (let at = 0; at < text.length; at++) {
    crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ text.charCodeAt(at)) & 0xff] ?? 0)
  }
  return base62(BigInt((crc ^ 0xffffffff) >>> 0), CHECKSUM_CHARS)
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value >>> 0
})

function randomSecret(): string {
  let number = 0n
  for (const byte of crypto.getRandomValues(new Uint8Array(32))) number = (number << 8n) | BigInt(byte)
  return base62(number, SECRET_CHARS)
}

/** Bytes of 248 and above are thrown away, so that every character is equally likely. */
function randomBase62(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < 248 && text.length < length) text += BASE62.charAt(byte % 62)
    }
  }
  return text
}

function base62(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest /= 62n) text = BASE62.charAt(Number(rest % 62n)) + text
  return text
}
