import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { Settlement } from '../../core/ledger.ts'
import { rowTextOf, writeCall } from './flush.ts'

const SETTLE_TRIES = 3
const RETRY_MS = 250

/**
 * Has the ledger settle a call. One that does not answer is asked again, for settling twice is settling once; if it
 * stays away the row goes straight to Postgres, and only the budgets learn of it later.
 */
export async function settle(
  ctx: Pick<Ctx, 'ledgerOf' | 'db' | 'redis' | 'log'>,
  settlement: Settlement,
): Promise<void> {
  const { row } = settlement
  for (let tries = 1; tries <= SETTLE_TRIES; tries++) {
    try {
      await ctx.ledgerOf(row.org_id).settle(settlement)
      return
    } catch (error) {
      if (!(error instanceof DependencyError)) throw error
      ctx.log.warn('settlement_failed', { request_id: row.request_id, tries, cause: String(error.cause) })
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries))
    }
  }
  const entry = {
    requestId: row.request_id,
    rowText: rowTextOf(row, settlement),
    corrections: [],
    counters: [],
    held: false,
  }
  await writeCall(ctx, row.org_id, entry)
  ctx.log.error('settled_without_ledger', { request_id: row.request_id, org_id: row.org_id })
}
