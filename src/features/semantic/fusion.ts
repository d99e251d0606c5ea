/** Places in two lists of hits, counted from 1; undefined where a hit is not in the list. */
export type Places = { near: number | undefined; word: number | undefined }

/** How little the first places of one list weigh against being in both (Cormack, Clarke and Büttcher, 2009). */
const SOFTENING = 60
/** Of the first of both lists. */
const MOST = 2 / (SOFTENING + 1)

/** The sum of the reciprocal places of a hit, as a share of what the first of both lists has: 0 to 1. */
export const fusedScore = ({ near, word }: Places): number => (reciprocal(near) + reciprocal(word)) / MOST

const reciprocal = (place: number | undefined): number => (place === undefined ? 0 : 1 / (SOFTENING + place))
