import type { HoldAnswer, HoldRequest } from '../../core/ledger.ts'
import { longestWaitMs } from '../../core/queue.ts'
import { createWaitingRoom } from '../../core/waiting-room.ts'
import type { Book } from './book.ts'

type Parts = { book: Pick<Book, 'hold' | 'enlist' | 'seat' | 'release'>; now: () => number }

/**
 * Calls that wait for a place at a target, in one line for each limit that is full. They hold no money, and no place but
 * among the calls of their caller. Whoever ends a call has the line served.
 */
export function createLine({ book, now }: Parts) {
  const trySeat = (request: HoldRequest): HoldAnswer | undefined => {
    try {
      return book.seat(request, now())
    } catch (cause) {
      book.release(request.facts.request_id)
      throw cause
    }
  }
  const room = createWaitingRoom<HoldRequest, HoldAnswer>({ now, trySeat })

  const wait = async (request: HoldRequest, fullLimitId: string): Promise<HoldAnswer> => {
    const { facts, deadlineMs, priority = 'normal' } = request
    const id = facts.request_id
    book.enlist(request)
    const untilMs = now() + longestWaitMs(deadlineMs - now())
    const answer = await room.enter({ id, line: fullLimitId, priority, untilMs, item: request })
    if (!('turnedAway' in answer)) return answer
    book.release(id)
    return { ok: false, limitId: fullLimitId, retryAfterMs: answer.retryAfterMs }
  }

  return {
    /** Holds, at once or when there is a place. Rejects for a call that is withdrawn before; it is for who does that to release it. */
    async hold(request: HoldRequest): Promise<HoldAnswer> {
      room.withdraw(request.facts.request_id)
      const answer = book.hold(request, now())
      if (!('fullLimitId' in answer)) return answer
      const { fullLimitId } = answer
      if (request.priority === undefined) return { ok: false, limitId: fullLimitId }
      return wait(request, fullLimitId)
    },

    withdraw: room.withdraw,
    serve: room.serve,
  }
}
