import type { Admission } from '../../core/admission.ts'
import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { SettledCall, Settlement } from '../../core/ledger.ts'
import { writeCall, writeRows } from './flush.ts'
import { gather } from './gathering.ts'
import { settledCallOf } from './settled-call.ts'

const SETTLE_TRIES = 3
const RETRY_MS = 250

type World = Pick<Ctx, 'ledgerOf' | 'db' | 'redis' | 'log' | 'memory' | 'now' | 'admission'>

/**
 * Has the ledger settle these calls of one organisation, in this order and in one write. Those of a busy organisation go
 * together with others: then this may be over before they are booked.
 */
export function settle(ctx: World, settlements: readonly Settlement[]): Promise<void> {
  const { orgId, limits } = ctx.admission.policy
  const calls = settlements.map(settledCallOf)
  return gather(ctx, { orgId, calls, isUrgent: freesPlaces(limits) }, (all) => send(ctx, orgId, all))
}

/** Who waits for a place, or makes one call after the other, is not to wait for others' settlements. */
const freesPlaces = (limits: Admission['policy']['limits']): boolean =>
  limits.some(({ metric }) => metric === 'concurrency')

/**
 * A ledger that does not answer is asked again, for settling twice is settling once; if it stays away the rows go
 * straight to Postgres, and only the budgets learn of them later.
 */
async function send(ctx: World, orgId: string, calls: readonly SettledCall[]): Promise<void> {
  const ids = calls.map(({ request_id }) => request_id)
  for (let tries = 1; tries <= SETTLE_TRIES; tries++) {
    try {
      await ctx.ledgerOf(orgId).settle(calls)
      return
    } catch (error) {
      if (!(error instanceof DependencyError)) throw error
      ctx.log.warn('settlement_failed', { org_id: orgId, request_ids: ids, tries, cause: String(error.cause) })
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries))
    }
  }
  await writePast(ctx, orgId, calls)
  ctx.log.error('settled_without_ledger', { request_ids: ids, org_id: orgId })
}

/** All rows at once, or each alone where Postgres refuses one of them. */
async function writePast(ctx: World, orgId: string, calls: readonly SettledCall[]): Promise<void> {
  const entries = calls.map(({ request_id, rowText }) => {
    return { requestId: request_id, rowText, corrections: [], counters: [], held: false }
  })
  if (entries.length > 1) {
    try {
      return await writeRows(ctx, orgId, entries)
    } catch (cause) {
      if (cause instanceof DependencyError) throw cause
    }
  }
  const written = await Promise.allSettled(entries.map((entry) => writeCall(ctx, orgId, entry)))
  const failed = written.find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
