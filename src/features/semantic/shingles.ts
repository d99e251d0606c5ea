import { standardText } from '../../core/standard-text.ts'

/** Characters of a shingle. */
const SIZE = 5
const SPACES = /[\s\p{P}]+/gu

/**
 * The hashes of all runs of five characters of a text, without case, punctuation and the width of its spaces. A text
 * that is shorter is one run.
 */
export function shinglesOf(text: string): ReadonlySet<number> {
  const plain = standardText(text).toLowerCase().replace(SPACES, ' ').trim()
  const shingles = new Set<number>()
  const last = Math.max(0, plain.length - SIZE)
  for (let start = 0; start <= last && plain !== ''; start++) {
    let hash = 0x811c9dc5
    for (let at = start; at < start + SIZE && at < plain.length; at++) {
      hash = Math.imul(hash ^ plain.charCodeAt(at), 0x01000193)
    }
    shingles.add(hash)
  }
  return shingles
}

/** The share of what two sets have together that both have (Jaccard): 0 to 1, and 0 for two empty ones. */
export function jaccard(one: ReadonlySet<number>, other: ReadonlySet<number>): number {
  const [small, large] = one.size <= other.size ? [one, other] : [other, one]
  let shared = 0
  for (const shingle of small) if (large.has(shingle)) shared += 1
  const all = one.size + other.size - shared
  return all === 0 ? 0 : shared / all
}

/** The most that `jaccard` can come to for texts of these lengths, without looking into them. */
export const jaccardBound = (one: ReadonlySet<number>, otherLength: number): number =>
  Math.min(1, Math.max(otherLength - SIZE + 1, 1) / Math.max(one.size, 1))
