import type { NodeModel } from '../../core/node.ts'
import type { Offer } from './fleet.ts'

/** Memory that whisper's sizes take in half precision; no server of them tells. The first that a name holds counts. */
const WHISPERS_MB: readonly (readonly [RegExp, number])[] = [
  [/tiny/i, 300],
  [/base/i, 500],
  [/distil/i, 2000],
  [/small/i, 1000],
  [/medium/i, 2600],
  [/turbo/i, 2700],
  [/large/i, 4700],
]

/** What a model takes, as far as anybody knows. */
export const memoryMbOf = ({ name, sizeMb }: NodeModel): number | undefined =>
  sizeMb ?? WHISPERS_MB.find(([pattern]) => pattern.test(name))?.[1]

/** The larger a model is the better it hears: those that fit on their node's cards, by size, then the others. */
export function largestThatFits(offers: readonly [Offer, ...Offer[]]): [Offer, ...Offer[]] {
  const sized = offers.map((offer) => ({ offer, mb: memoryMbOf(offer.model) ?? 0 }))
  const fits = ({ offer, mb }: { offer: Offer; mb: number }): boolean => mb <= (offer.state.gpu?.memoryMb ?? mb)
  const ordered = sized.toSorted((one, other) => Number(fits(other)) - Number(fits(one)) || other.mb - one.mb)
  const [first, ...others] = ordered.map(({ offer }) => offer)
  return [first ?? offers[0], ...others]
}
