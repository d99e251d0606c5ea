import { createQueue, type Room, type Waiting } from './queue.ts'

/** Nobody has a place for them in their time. */
export type TurnedAway = { turnedAway: true; retryAfterMs: number }

type Waiter<T, Answer> = { item: T; answer: (answer: Answer | TurnedAway) => void; fail: (cause: Error) => void }

type Parts<T, Answer> = {
  /** Unix milliseconds. */
  now: () => number
  /** Gives somebody what they wait for and says so; undefined while there is none for them. */
  trySeat: (item: T) => Answer | undefined
  room?: Room
}

/** A queue whose members are promises: each is told once, when it has its place or when its time is over. */
export function createWaitingRoom<T, Answer extends object>({ now, trySeat, room }: Parts<T, Answer>) {
  const queue = createQueue<Waiter<T, Answer>>(room)
  let timer: ReturnType<typeof setTimeout> | undefined

  const dismissLate = (): void => {
    for (const { item, retryAfterMs } of queue.expire(now())) item.answer({ turnedAway: true, retryAfterMs })
  }

  /** One timer for all: for the one whose time is over first. */
  const arm = (): void => {
    clearTimeout(timer)
    const nextMs = queue.nextExpiryMs()
    if (nextMs === undefined) return
    timer = setTimeout(
      () => {
        dismissLate()
        arm()
      },
      Math.max(1, nextMs - now()),
    )
  }

  const serve = (): void => {
    if (queue.size() === 0) return
    dismissLate()
    queue.serve(({ item, answer, fail }) => {
      try {
        const seated = trySeat(item)
        if (seated) answer(seated)
        return seated !== undefined
      } catch (error) {
        // Not to the one whose leaving made the place: this one alone cannot be served.
        fail(error instanceof Error ? error : new Error(String(error)))
        return true
      }
    }, now())
    arm()
  }

  return {
    /** Waits until there is a place. Rejects for who is withdrawn, and with what `trySeat` throws of them. */
    enter({ id, line, priority, untilMs, item }: Waiting<T>): Promise<Answer | TurnedAway> {
      const { promise, resolve: answer, reject: fail } = Promise.withResolvers<Answer | TurnedAway>()
      const offered = queue.offer({ id, line, priority, untilMs, item: { item, answer, fail } }, now())
      if (!offered.ok) return Promise.resolve({ turnedAway: true, retryAfterMs: offered.retryAfterMs })
      arm()
      return promise
    },

    /** There may be a place for somebody. */
    serve,

    withdraw(id: string): void {
      if (queue.size() === 0) return
      queue.withdraw(id)?.fail(new Error('the call was withdrawn while it waited'))
      arm()
    },

    size: queue.size,
  }
}
