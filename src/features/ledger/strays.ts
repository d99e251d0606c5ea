import type { Deps } from '../../core/context.ts'
import { redisKeys } from '../admission/service.ts'
import type { Book } from './book.ts'
import { readOpenCall } from './unknown.ts'

/** A call is on the list a moment before it holds, and a moment after it is booked: most signs of strays are those. */
const LOOK_AFTER_MS = 10_000

type Parts = {
  orgId: string
  book: Book
  deps: Pick<Deps, 'redis' | 'log' | 'now'>
  graceMs: number
  /** Takes calls off the list of open ones, and tells which are still on it although they are to be taken off. */
  outbox: {
    close: (requestId: string) => void
    isClosing: (requestId: string) => boolean
    closing: () => Iterable<string>
  }
  /** The call was given up: it does not hold what it may have drawn. */
  isWithdrawn: (requestId: string) => boolean
}

/**
 * Calls on Redis' list of open ones that nobody will take off: what was to be taken off is forgotten in a crash, a
 * refused call stays when its isolate dies or Redis is away just then, and a slow Redis may list a call late. The list
 * itself is asked, for it is what survives. No row is written for a stray: those that held in an earlier life are found
 * by `layGhosts` before this looks.
 */
export function createStrays({ orgId, book, deps, graceMs, outbox, isWithdrawn }: Parts) {
  const key = redisKeys.open(orgId)
  /** A new life cannot know what is on the list. */
  let dueMs: number | undefined = deps.now()

  /** Redis was away: it is not asked again before. */
  let notBeforeMs = Number.NEGATIVE_INFINITY

  const lookMs = (): number | undefined => {
    const times = [dueMs, book.credits.dueMs()].filter((time) => time !== undefined)
    return times.length === 0 ? undefined : Math.max(notBeforeMs, Math.min(...times))
  }

  const lookBy = (atMs: number): void => {
    dueMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, atMs)
  }

  const suspect = (): void => lookBy(deps.now() + LOOK_AFTER_MS)

  /** Closes what is over, and tells when the first of the others will be. */
  const goThrough = (entries: readonly [requestId: string, text: string][]): number | undefined => {
    let next: number | undefined
    for (const [requestId, text] of entries) {
      if (book.holdsFor(requestId) || outbox.isClosing(requestId)) continue
      const call = isWithdrawn(requestId) ? undefined : readOpenCall(text)
      // Who drew on a credit of this life holds by itself from now on, and is booked if it is never heard of again.
      if (call && book.adopt(call)) continue
      const overMs = call ? call.deadlineMs + graceMs : 0
      if (overMs <= deps.now() || book.knows(requestId)) outbox.close(requestId)
      else next = Math.min(next ?? Number.POSITIVE_INFINITY, overMs)
    }
    return next
  }

  return {
    /** When the list is to be looked at; undefined while everybody on it is known, and nobody may be on it by credit. */
    dueMs: lookMs,

    /** A call may stay on the list. */
    suspect,

    /** So many calls are listed, now that all that was to be taken off was. */
    learn(listed: number): void {
      if (listed <= book.moneyHolds()) dueMs = undefined
      else suspect()
    },

    /** Looks at the list when it is time to, once every call of the last life is accounted for. */
    async look(): Promise<void> {
      const readMs = deps.now()
      if ((lookMs() ?? Number.POSITIVE_INFINITY) > readMs) return
      const earlierMs = dueMs
      // Who is suspected from here on may not be in the answer.
      dueMs = undefined
      // Who is being taken off just now may be gone from there before the answer is here, and be in it all the same.
      book.credits.listen(outbox.closing())
      try {
        const [reply] = await deps.redis.pipeline([['HGETALL', key]])
        const next = goThrough(Object.entries(reply ?? {}))
        book.credits.dropDue(readMs)
        if (next !== undefined) lookBy(Math.max(next, deps.now() + LOOK_AFTER_MS))
      } catch (cause) {
        notBeforeMs = deps.now() + LOOK_AFTER_MS
        if (earlierMs !== undefined) lookBy(earlierMs)
        deps.log.warn('open_calls_not_read', { org_id: orgId, cause: String(cause) })
      } finally {
        book.credits.listened()
      }
    },
  }
}
