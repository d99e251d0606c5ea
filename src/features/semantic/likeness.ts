import { standardText } from '../../core/standard-text.ts'
import { jaccard, jaccardBound, shinglesOf } from './shingles.ts'

export type DuplicateType = 'exact' | 'near_exact' | 'semantic'

export const EXACT = 0.95
export const NEAR_EXACT = 0.9
export const SEMANTIC = 0.85

/** A text that others are compared with. */
export type Standard = { sha256: string; shingles: ReadonlySet<number> }

export const standardOf = (content: string, sha256: string): Standard => ({ sha256, shingles: shinglesOf(content) })

/** What it is compared with; `cosine` of the two vectors, where there are both. */
export type Compared = { content: string; sha256: string; cosine: number | undefined }

export type Likeness = {
  /** 0 to 1. */
  similarity: number
  type: DuplicateType
  /** How far the two measures agree; null where there is only one. */
  confidence: number | null
}

/**
 * How alike two texts are, by the better of two measures: what they mean (cosine) and how they are written (shingles).
 * Undefined unless they are more alike than the threshold.
 */
export function likenessOf(standard: Standard, { content, sha256, cosine }: Compared, threshold: number) {
  if (sha256 === standard.sha256) return { similarity: 1, type: 'exact', confidence: 1 } satisfies Likeness
  const near = cosine === undefined ? 0 : Math.min(1, Math.max(0, cosine))
  // Reading a text for its shingles is what takes time: most that are not near by meaning cannot be by their letters.
  if (near <= threshold && jaccardBound(standard.shingles, standardText(content).length) <= threshold) return undefined
  const shared = jaccard(standard.shingles, shinglesOf(content))
  const similarity = Math.max(near, shared)
  if (similarity <= threshold) return undefined
  const confidence = cosine === undefined ? null : 1 - Math.abs(near - calibrated(shared))
  return { similarity, type: typeOf(similarity), confidence } satisfies Likeness
}

const typeOf = (similarity: number): DuplicateType =>
  similarity > EXACT ? 'exact' : similarity > NEAR_EXACT ? 'near_exact' : 'semantic'

/**
 * A Jaccard coefficient as a cosine: the cosine of the sets themselves is Dice's coefficient where they are of a size,
 * and models put texts about the same matter nearer to each other than their letters are, by about its root.
 */
const calibrated = (shared: number): number => Math.sqrt((2 * shared) / (1 + shared))
