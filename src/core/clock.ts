/** Unix seconds, as on the wire and in the database. */
export const secondsOf = (ms: number): number => Math.floor(ms / 1000)

/** Unix seconds now. */
export const nowSeconds = ({ now }: { now: () => number }): number => secondsOf(now())
