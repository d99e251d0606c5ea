import type { Deps } from '../../core/context.ts'
import type { BudgetRef, HoldRequest } from '../../core/ledger.ts'
import { redisKeys } from '../admission/service.ts'
import type { Book } from './book.ts'
import { bookedAmong } from './flush.ts'
import { readOpenCall, unknownSettlement } from './unknown.ts'

type Parts = {
  orgId: string
  book: Book
  deps: Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'>
  graceMs: number
  /** Takes calls off the list of open ones, and tells which have ended but are still on it. */
  outbox: { close: (requestId: string) => void; isClosing: (requestId: string) => boolean }
  /** The call with the budgets of its run, which Redis does not know; undefined where there never was such a run. */
  withRun: (call: HoldRequest) => Promise<HoldRequest | undefined>
  /** Reads anew what was spent of these budgets. */
  reopen: (budgets: readonly BudgetRef[]) => Promise<void>
}

/**
 * After a crash, once every call of the last life must have ended: those that only Redis remembers become `unknown`
 * rows. Together they never cost more than what the last life can have held, for Redis also lists calls whose hold was
 * refused a moment before the crash. False while it is too early; throws `DependencyError` when a store is away.
 */
export async function layGhosts({ orgId, book, deps, graceMs, outbox, withRun, reopen }: Parts): Promise<boolean> {
  const untilMs = book.hauntedUntilMs()
  if (untilMs === undefined) return true
  if (untilMs > deps.now()) return false
  const [reply] = await deps.redis.pipeline([['HVALS', redisKeys.open(orgId)]])
  const lost = (Array.isArray(reply) ? reply : [])
    .map((text) => readOpenCall(String(text)))
    .filter((call): call is HoldRequest => call !== undefined && call.deadlineMs + graceMs <= untilMs)
    .filter(({ facts, creditId }) => !book.holdsFor(facts.request_id) && !book.credits.has(creditId))
    .filter(({ facts }) => !outbox.isClosing(facts.request_id))
    .sort((left, right) => left.deadlineMs - right.deadlineMs)
  const ids = lost.map(({ facts }) => facts.request_id).filter((requestId) => !book.knows(requestId))
  const booked = ids.length === 0 ? new Set<string>() : await bookedAmong(deps, orgId, ids)
  const whole = await Promise.all(lost.map(async (call) => ({ id: call.facts.request_id, call: await withRun(call) })))
  // Whoever did not reach this object wrote their row without it: only Postgres knows what such a call has spent.
  const elsewhere = whole.flatMap(({ id, call }) => (call && booked.has(id) ? call.budgets : []))
  if (elsewhere.length > 0) await reopen([...new Map(elsewhere.map((budget) => [budget.id, budget])).values()])
  for (const { id, call } of whole) {
    if (!call || booked.has(id) || book.knows(id)) outbox.close(id)
    else bookLost(call)
  }
  book.forgetGhosts()
  return true

  function bookLost(call: HoldRequest): void {
    const nowMs = deps.now()
    const amountNanoUsd = Math.min(call.amountNanoUsd, book.ghostOf(call.budgets, nowMs))
    book.settle(unknownSettlement({ ...call, amountNanoUsd }, deps.newId('led'), nowMs), nowMs)
  }
}
