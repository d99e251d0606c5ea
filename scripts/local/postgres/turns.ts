/** Hands one resource to one holder at a time, first come first served. */
export type Turns<Holder> = {
  /** Resolves once the holder has the resource; at once when it has it already. Rejects when cancelled. */
  take(holder: Holder): Promise<void>
  /** Gives the resource to the next in line; ignored when the holder does not have it. */
  release(holder: Holder): void
  /** Leaves the line: a pending `take` rejects. */
  cancel(holder: Holder): void
  isHeldBy(holder: Holder): boolean
}

export function createTurns<Holder>(): Turns<Holder> {
  let current: { holder: Holder } | undefined
  let line: { holder: Holder; resolve: () => void; reject: (reason: Error) => void }[] = []
  const isHeldBy = (holder: Holder) => current !== undefined && current.holder === holder

  return {
    isHeldBy,
    take(holder) {
      if (isHeldBy(holder)) return Promise.resolve()
      if (!current) {
        current = { holder }
        return Promise.resolve()
      }
      return new Promise((resolve, reject) => line.push({ holder, resolve, reject }))
    },
    release(holder) {
      if (!isHeldBy(holder)) return
      const next = line.shift()
      current = next && { holder: next.holder }
      next?.resolve()
    },
    cancel(holder) {
      const leaving = line.filter((waiter) => waiter.holder === holder)
      line = line.filter((waiter) => waiter.holder !== holder)
      for (const waiter of leaving) waiter.reject(new Error('the wait for the backend was cancelled'))
    },
  }
}
