/**
 * What another policy would have come to, told from calls that this one made: inverse propensity scoring (IPS) and its
 * self-normalised form (SNIPS). https://www.jmlr.org/papers/v14/bottou13a.html, https://papers.nips.cc/paper/5748
 */

/** A figure of one call, 0 or more, and how much more likely the other policy was to do what was done. */
export type Sample = { weight: number; value: number }

/** With the bounds between which the true value lies in 95 of 100 cases; none is below 0, as no figure is. */
export type Estimate = { value: number; low: number; high: number }

/** `snips` is null where the other policy would have done nothing of what was done: then there is nothing to normalise. */
export type Estimates = { ips: Estimate; snips: Estimate | null }

/** Standard errors to either side of the middle of a normal distribution that hold 95 % of it. */
const WIDTH_95 = 1.959964

/**
 * The mean of a figure under the other policy. IPS is unbiased as long as whatever the other policy does had a chance;
 * SNIPS varies less, and stays within the figures that there were. Undefined for fewer than two samples.
 */
export function estimate(samples: readonly Sample[]): Estimates | undefined {
  const count = samples.length
  if (count < 2) return undefined
  const mean = samples.reduce((sum, { weight, value }) => sum + weight * value, 0) / count
  const squares = samples.reduce((sum, { weight, value }) => sum + (weight * value - mean) ** 2, 0)
  const ips = around(mean, Math.sqrt(squares / (count - 1) / count))
  const total = samples.reduce((sum, { weight }) => sum + weight, 0)
  if (total === 0) return { ips, snips: null }
  const normal = (mean * count) / total
  const spread = samples.reduce((sum, { weight, value }) => sum + (weight * (value - normal)) ** 2, 0)
  return { ips, snips: around(normal, Math.sqrt((spread * count) / (count - 1)) / total) }
}

const around = (value: number, error: number): Estimate => ({
  value,
  low: Math.max(0, value - WIDTH_95 * error),
  high: value + WIDTH_95 * error,
})

/** As many calls of the other policy's own would say as much. */
export function effectiveSize(weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const squares = weights.reduce((sum, weight) => sum + weight ** 2, 0)
  return squares === 0 ? 0 : total ** 2 / squares
}
