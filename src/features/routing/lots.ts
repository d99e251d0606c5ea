/** Numbers in [0, 1) that follow from the first of them, which is the given one itself. */
export function createLots(random: number): () => number {
  let state: number | undefined
  return () => {
    if (state === undefined) {
      state = Math.floor(random * 2 ** 32)
      return random
    }
    // mulberry32, public domain: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Where a lot falls among shares; the last of them takes what rounding has left over. */
export function shareOf(shares: readonly number[], lot: number): number {
  let total = 0
  for (const share of shares) total += share
  let point = lot * total
  for (let at = 0; at < shares.length; at += 1) {
    point -= shares[at] ?? 0
    if (point < 0) return at
  }
  return shares.length - 1
}

/** All of them, each place drawn by weight among those that are left. */
export function drawn<T>(items: readonly T[], weightOf: (item: T) => number, lots: () => number): T[] {
  if (items.length <= 1) return [...items]
  const left = [...items]
  const weights = left.map(weightOf)
  const order: T[] = []
  while (left.length > 1) {
    const at = shareOf(weights, lots())
    weights.splice(at, 1)
    order.push(...left.splice(at, 1))
  }
  return [...order, ...left]
}
