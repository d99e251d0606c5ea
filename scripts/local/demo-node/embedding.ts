import { hashText } from './pieces.ts'

const commonWords = new Set(
  'a an and are as at be by for from has have i in is it its of on or that the this to was we were what with you'.split(
    ' ',
  ),
)

/** Words, and the stems of longer words, each with a weight: what two texts can have in common. */
function features(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    const weight = commonWords.has(word) ? 0.1 : 1
    counts.set(word, (counts.get(word) ?? 0) + weight)
    if (word.length > 4) counts.set(`${word.slice(0, 4)}…`, (counts.get(`${word.slice(0, 4)}…`) ?? 0) + 0.6)
  }
  if (counts.size === 0) counts.set(`raw:${text}`, 1)
  return counts
}

/**
 * A deterministic vector of unit length. Every feature adds its own pseudo-random direction, so texts that share words
 * point the same way and unrelated ones are near orthogonal; a prefix of the vector keeps that property.
 */
export function embedText(text: string, dimensions: number): number[] {
  const sums = new Float64Array(dimensions)
  for (const [feature, weight] of features(text)) {
    let state = hashText(feature) || 1
    const scale = Math.sqrt(weight) / 0x80000000
    for (let index = 0; index < dimensions; index += 1) {
      // xorshift32: the signed state is a uniform value around zero.
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      sums[index] = (sums[index] ?? 0) + state * scale
    }
  }
  return normalise(sums)
}

/** Scales to length 1, rounded to what a 32-bit float holds. */
export function normalise(vector: Iterable<number>): number[] {
  const values = [...vector]
  const length = Math.max(Math.hypot(...values), 1e-12)
  return values.map((value) => Number((value / length).toFixed(9)))
}
