import type { Decision } from '../../core/decision.ts'
import type { LedgerRow, Settlement } from '../../core/ledger.ts'
import { countedIn, decisionOf, type Ending, measuredOf, requestOf, rowOf, takeTallies, type World } from './booking.ts'
import { correctionsOf } from './corrections.ts'
import { settle } from './settling.ts'

/** One call that was made for another: by a member of an ensemble, or by its judge. */
export type PartOfCall = {
  requestId: string
  /** Unix milliseconds. */
  startedMs: number
  endedMs: number
  ending: Ending
  decision: Pick<Decision, 'attempts' | 'failed'>
  taskType?: string | undefined
}

/**
 * Books a call for which others were made: each of those in a row of its own, which names the call, and then the call
 * itself, which costs nothing beside them. It holds for all of them until then, so what is held is never too little; if
 * it is never heard of again it is booked for what it held.
 */
export async function bookPanel(ctx: World, ending: Ending, parts: readonly PartOfCall[]): Promise<void> {
  if (ctx.arrival) ctx.arrival.isBooked = true
  const settlements = parts.map((part) => partSettlement(ctx, part))
  const row = rowOf(ctx, ending)
  const own = {
    row,
    budgets: countedIn(ctx, row),
    tokenCorrections: correctionsOf(ctx.admission, usedBy(row, settlements), ctx.now()),
    counters: takeTallies(ctx),
    request: await requestOf(ctx, row, ending.bytesOut),
    decision: decisionOf(ctx, row),
  }
  await settle(ctx, [...settlements, own])
}

/**
 * Books an attempt that has to be paid although another target answered: in a row of its own, which names the call, or
 * the request in which that was made.
 */
export async function bookAttempt(ctx: World, ending: Ending): Promise<void> {
  const own = rowOf({ ...ctx, requestId: ctx.newId('req') }, ending)
  const row: LedgerRow = { parent_request_id: ctx.requestId, ...own }
  await settle(ctx, [{ row, budgets: countedIn(ctx, row), tokenCorrections: [], counters: [] }])
}

function partSettlement(ctx: World, { requestId, startedMs, endedMs, ...part }: PartOfCall): Settlement {
  const { ending, decision, taskType } = part
  const own = rowOf({ ...ctx, requestId, startedMs, now: () => endedMs }, ending)
  const row: LedgerRow = { ...own, parent_request_id: ctx.requestId }
  return {
    row,
    budgets: countedIn(ctx, row),
    // The caller's windows were charged for all parts at once; those of a provider are its own part's.
    tokenCorrections: correctionsOf({ policy: ctx.admission.policy, tokenCharges: [] }, row, ctx.now()),
    counters: [],
    measured: measuredOf(decision, { ending, row, taskType }),
  }
}

/** The call's row as if it had used itself what all its parts did. */
const usedBy = (row: LedgerRow, parts: readonly Settlement[]): LedgerRow => ({
  ...row,
  prompt_tokens: parts.reduce((sum, part) => sum + part.row.prompt_tokens, 0),
  completion_tokens: parts.reduce((sum, part) => sum + part.row.completion_tokens, 0),
})
