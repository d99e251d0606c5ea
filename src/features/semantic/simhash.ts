import { standardText } from '../../core/standard-text.ts'

/** Words, and signs of scripts that put no space between them. */
const FEATURES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}]+/gu
const HALF = 32

/**
 * 64 bits of a text as 16 hex digits, of which near copies share most: each word, in lower case, votes for its own hash
 * (Charikar, 2002). A text without words has none set.
 */
export function simhashOf(text: string): string {
  const votes = new Int32Array(HALF * 2)
  for (const [word] of standardText(text).toLowerCase().matchAll(FEATURES)) {
    const [high, low] = hash(word)
    for (let bit = 0; bit < HALF; bit++) {
      votes[bit] = (votes[bit] ?? 0) + ((high >>> bit) & 1) * 2 - 1
      votes[HALF + bit] = (votes[HALF + bit] ?? 0) + ((low >>> bit) & 1) * 2 - 1
    }
  }
  return hex(votes, 0) + hex(votes, HALF)
}

/** How many bits two such hashes differ in, from 0 to 64. */
export function simhashDistance(one: string, other: string): number {
  const halves = [0, 8].map(
    (at) => Number.parseInt(one.slice(at, at + 8), 16) ^ Number.parseInt(other.slice(at, at + 8), 16),
  )
  return halves.reduce((sum, half) => sum + bitsIn(half), 0)
}

function hex(votes: Int32Array, from: number): string {
  let bits = 0
  for (let bit = 0; bit < HALF; bit++) if ((votes[from + bit] ?? 0) > 0) bits |= 1 << bit
  return (bits >>> 0).toString(16).padStart(8, '0')
}

function bitsIn(value: number): number {
  let rest = value >>> 0
  let bits = 0
  while (rest !== 0) {
    rest &= rest - 1
    bits += 1
  }
  return bits
}

/** Two independent hashes of 32 bits (FNV-1a with MurmurHash3's last steps). */
function hash(word: string): [number, number] {
  let [one, other] = [0x811c9dc5, 0x9747b28c]
  for (let at = 0; at < word.length; at++) {
    const code = word.charCodeAt(at)
    one = Math.imul(one ^ code, 0x01000193)
    other = Math.imul(other ^ code, 0x5bd1e995)
  }
  return [mixed(one), mixed(other)]
}

function mixed(value: number): number {
  let bits = value
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
