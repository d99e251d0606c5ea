const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARS = 10
const RANDOM_CHARS = 16

/** A prefixed id of 26 base32 characters that sorts by creation time, so that a page can continue after the last id seen. */
export function newId(prefix: string, nowMs: number): string {
  let time = ''
  for (let rest = nowMs, place = 0; place < TIME_CHARS; place++, rest = Math.floor(rest / 32)) {
    time = ALPHABET.charAt(rest % 32) + time
  }
  let random = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(RANDOM_CHARS))) random += ALPHABET.charAt(byte % 32)
  return `${prefix}_${time}${random}`
}
