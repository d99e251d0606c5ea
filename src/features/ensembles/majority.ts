/** A panel of `members`, and who of those who have answered says the same: indices of answers. */
type Votes = { members: number; clusters: readonly (readonly number[])[] }

/** The answers of more than half of the members; undefined where no answer has that. */
export function majorityOf({ members, clusters }: Votes): readonly number[] | undefined {
  return clusters.find((cluster) => cluster.length * 2 > members)
}

/**
 * Whether those who have not answered yet can still change what comes out. A majority stands; where none can come about
 * any more the choice is made by other means, and everybody's answer counts in that.
 */
export const isDecided = (votes: Votes): boolean => majorityOf(votes) !== undefined

/** The one of these that scores highest; the first of equals. */
export function bestOf(indices: readonly number[], scores: readonly number[]): number | undefined {
  let best: number | undefined
  for (const index of indices) if (best === undefined || (scores[index] ?? 0) > (scores[best] ?? 0)) best = index
  return best
}
