/** A name that a caller gives to what is theirs, such as an agent or a run. */
export const LABEL = /^[A-Za-z0-9_.:-]{1,64}$/

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARS = 10
const RANDOM_CHARS = 16

/** Randomness for many ids at once: asking for it costs more than an id. No byte is used twice. */
const pool = new Uint8Array(RANDOM_CHARS * 64)
let taken = pool.length

/** A prefixed id of 26 base32 characters that sorts by creation time, so that a page can continue after the last id seen. */
export function newId(prefix: string, nowMs: number): string {
  let time = ''
  for (let rest = nowMs, place = 0; place < TIME_CHARS; place++, rest = Math.floor(rest / 32)) {
    time = ALPHABET.charAt(rest % 32) + time
  }
  if (taken === pool.length) {
    crypto.getRandomValues(pool)
    taken = 0
  }
  let random = ''
  for (let end = taken + RANDOM_CHARS; taken < end; taken++) random += ALPHABET.charAt((pool[taken] ?? 0) % 32)
  return `${prefix}_${time}${random}`
}
