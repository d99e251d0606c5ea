/** Who says how sure an answer is; null where nobody does. */
export type ConfidenceSource = 'model' | 'logprob' | 'agreement'
export type Confidence = { confidence: number | null; confidence_source: ConfidenceSource | null }

/** The mean by weight of what is known; null where nothing is. */
export function meanConfidence(parts: readonly { confidence: number | null; weight: number }[]): number | null {
  let sum = 0
  let weights = 0
  for (const { confidence, weight } of parts) {
    if (confidence === null) continue
    sum += confidence * weight
    weights += weight
  }
  return weights > 0 ? Math.min(1, sum / weights) : null
}

export const sourced = (confidence: number | null | undefined, source: ConfidenceSource): Confidence =>
  confidence === null || confidence === undefined
    ? { confidence: null, confidence_source: null }
    : { confidence, confidence_source: source }
