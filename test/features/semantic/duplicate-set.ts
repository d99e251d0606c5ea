/** A generator of numbers from 0 to 1 that is the same every time (mulberry32). */
export function numbersFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

type Vector = number[]
export type Kind = 'copy' | 'near_copy' | 'paraphrase' | 'same_topic'
export type Case = {
  kind: Kind
  text: string /** The text it is one of; undefined for none. */
  of: string | undefined
}
export type DuplicateSet = { originals: string[]; cases: Case[]; vectorOf: (text: string) => Vector }

const TOPICS = 8
const WORDS = 90

/**
 * Texts, and of each a copy, a copy with 3 % of its words changed, a paraphrase, and another text on the same topic. No
 * words are shared but by copies and topics; vectors are given: paraphrases have a cosine of 0.92 ± 0.035
 * with their original, texts of a topic one of about 0.72 with each other.
 */
export function duplicateSet({
  seed,
  originals: count,
  dimensions,
}: {
  seed: number
  originals: number
  dimensions: number
}): DuplicateSet {
  const next = numbersFrom(seed)
  const vectors = new Map<string, Vector>()
  const direction = (): Vector => unit(Array.from({ length: dimensions }, () => normal(next)))
  const topics = Array.from({ length: TOPICS }, () => ({ center: direction(), words: vocabulary(next, 60) }))
  const common = vocabulary(next, 200)
  const textOf = (words: readonly string[]): string =>
    Array.from({ length: WORDS }, () => pick(next, next() < 0.4 ? words : common)).join(' ')
  const made = (text: string, vector: Vector): string => {
    vectors.set(text, vector)
    return text
  }
  const originals: string[] = []
  const cases: Case[] = []
  for (let at = 0; at < count; at++) {
    const { center, words } = topics[at % TOPICS] ?? { center: direction(), words: common }
    const vector = towards(center, direction(), 0.85 + 0.03 * normal(next))
    const text = made(textOf(words), vector)
    const near = made(changed(text, next, common), towards(vector, direction(), 0.975 + 0.008 * normal(next)))
    const paraphrase = made(textOf(words), towards(vector, direction(), 0.92 + 0.035 * normal(next)))
    const other = made(textOf(words), towards(center, direction(), 0.85 + 0.03 * normal(next)))
    originals.push(text)
    cases.push(
      { kind: 'copy', text, of: text },
      { kind: 'near_copy', text: near, of: text },
      { kind: 'paraphrase', text: paraphrase, of: text },
      { kind: 'same_topic', text: other, of: undefined },
    )
  }
  return {
    originals,
    cases,
    vectorOf: (text) => vectors.get(text) ?? [1, ...Array.from({ length: dimensions - 1 }, () => 0)],
  }
}

/** A vector with that cosine to another, turned towards a third. */
function towards(vector: Vector, aside: Vector, cosine: number): Vector {
  const share = Math.min(1, cosine)
  const along = vector.reduce((sum, value, at) => sum + value * (aside[at] ?? 0), 0)
  const across = unit(aside.map((value, at) => value - along * (vector[at] ?? 0)))
  const rest = Math.sqrt(1 - share * share)
  return vector.map((value, at) => value * share + (across[at] ?? 0) * rest)
}

function unit(vector: Vector): Vector {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())

const pick = (next: () => number, words: readonly string[]): string => words[Math.floor(next() * words.length)] ?? ''

function vocabulary(next: () => number, count: number): string[] {
  const letters = 'abcdefghijklmnoprstuvwz'
  const word = (): string =>
    Array.from({ length: 3 + Math.floor(next() * 7) }, () => letters[Math.floor(next() * letters.length)]).join('')
  return Array.from({ length: count }, word)
}

function changed(text: string, next: () => number, words: readonly string[]): string {
  const all = text.split(' ')
  for (let left = Math.round(all.length * 0.03); left > 0; left--) {
    all[Math.floor(next() * all.length)] = pick(next, words)
  }
  return all.join(' ')
}
