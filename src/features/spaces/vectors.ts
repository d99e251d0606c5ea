import { AppError } from '../../core/errors.ts'

/** What a vector's numbers are kept to: a single-precision float, which pgvector keeps, has no more of a unit vector. */
const STEPS = 1e8
/** What pgvector holds. */
const MAX_DIMENSIONS = 16_000

/** The direction of a vector: the same, one long. Throws 502 `model_output_invalid` for one that has none. */
export function unitVector(vector: readonly number[]): number[] {
  let squares = 0
  for (const value of vector) squares += value * value
  const length = Math.sqrt(squares)
  if (!(length > 0) || !Number.isFinite(length) || vector.length > MAX_DIMENSIONS) {
    throw badVector(`A vector of ${vector.length} numbers has no direction.`)
  }
  return vector.map((value) => Math.round((value / length) * STEPS) / STEPS)
}

/** The direction of vectors together, each as heavy as it is told. Throws as `unitVector`. */
export function meanVector(vectors: readonly (readonly number[])[], weights: readonly number[]): number[] {
  const [first = []] = vectors
  const sum = first.map(() => 0)
  for (const [at, vector] of vectors.entries()) {
    const weight = weights[at] ?? 1
    for (const [place, value] of unitVector(vector).entries()) sum[place] = (sum[place] ?? 0) + value * weight
  }
  return unitVector(sum)
}

/** Cosine of the angle between two vectors of one space, from -1 to 1. */
export function cosine(one: readonly number[], other: readonly number[]): number {
  let dot = 0
  let ones = 0
  let others = 0
  for (const [at, value] of one.entries()) {
    const against = other[at] ?? 0
    dot += value * against
    ones += value * value
    others += against * against
  }
  const length = Math.sqrt(ones * others)
  return length === 0 ? 0 : dot / length
}

/** What a model answers with that is no vector of its space. */
export const badVector = (detail: string, dimensions?: { expected: number; got: number }): AppError =>
  new AppError('model_output_invalid', detail, { details: { fault: 'bad_output', ...dimensions } })

/** As pgvector reads it. */
export const vectorText = (vector: readonly number[]): string => `[${vector.join(',')}]`
