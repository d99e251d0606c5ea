import { isJsonForm, normalForm } from './normalise.ts'

/** Answers whose normal form is no longer than that are the same or not; longer ones are compared by likeness. */
export const SHORT_CHARS = 100
/** From this cosine on two long answers count as one. */
export const ALIKE = 0.9
/** Of an answer as much is compared; the rest cannot tell much that this does not. */
const COMPARED_CHARS = 8000
const GRAM_CHARS = 3

/** A text as how often each run of three characters is in it, with the length of that vector. */
type Vector = { counts: ReadonlyMap<string, number>; length: number }

/** Compares a few answers with each other: each is read once. Nothing here knows meanings, only letters. */
export function compare(texts: readonly string[]) {
  const forms = texts.map(normalForm)
  const vectors: (Vector | undefined)[] = []
  const vectorAt = (at: number): Vector => {
    vectors[at] ??= vectorOf(forms[at] ?? '')
    return vectors[at]
  }
  const isShort = (at: number): boolean => (forms[at] ?? '').length <= SHORT_CHARS
  /** 0 to 1; 1 for what is the same in its normal form. That 41 looks like 42 says nothing: short ones are that or not. */
  const similarity = (one: number, other: number): number => {
    if (forms[one] === forms[other]) return 1
    return isShort(one) && isShort(other) ? 0 : cosine(vectorAt(one), vectorAt(other))
  }
  const isAlike = (one: number, other: number): boolean => {
    const [mine, theirs] = [forms[one] ?? '', forms[other] ?? '']
    if (mine === theirs) return true
    if (isJsonForm(mine) || isJsonForm(theirs)) return false
    if (isShort(one) || isShort(other)) return false
    return similarity(one, other) >= ALIKE
  }
  return { similarity, isAlike, clusters: () => clustersOf(texts.length, isAlike) }
}

/** Groups in each of which every two are alike; whoever comes first opens one. Indices into the texts. */
function clustersOf(count: number, isAlike: (one: number, other: number) => boolean): number[][] {
  const clusters: number[][] = []
  for (let at = 0; at < count; at++) {
    const joined = clusters.find((cluster) => cluster.every((other) => isAlike(other, at)))
    if (joined) joined.push(at)
    else clusters.push([at])
  }
  return clusters
}

function vectorOf(form: string): Vector {
  // The spaces make runs of a text that is shorter than one.
  const text = ` ${form.slice(0, COMPARED_CHARS)} `
  const counts = new Map<string, number>()
  for (let at = 0; at + GRAM_CHARS <= text.length; at++) {
    const gram = text.slice(at, at + GRAM_CHARS)
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  let squares = 0
  for (const count of counts.values()) squares += count * count
  return { counts, length: Math.sqrt(squares) }
}

function cosine(one: Vector, other: Vector): number {
  if (one.length === 0 || other.length === 0) return 0
  const [few, many] = one.counts.size <= other.counts.size ? [one, other] : [other, one]
  let product = 0
  for (const [gram, count] of few.counts) product += count * (many.counts.get(gram) ?? 0)
  return Math.min(1, product / (one.length * other.length))
}
