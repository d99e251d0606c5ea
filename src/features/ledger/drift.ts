import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { JobDeps } from '../../core/jobs.ts'
import type { DayTotal } from '../../core/ledger.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { metricsKey } from './flush.ts'
import { type DayBooks, recomputeDay } from './recompute.ts'

/** Drift that is worth an alarm: a thousandth of what it should be. */
const DRIFT_PARTS = 1000n

/** Two sums of a day that should be one, in nano-USD. */
export type Drift = {
  /** `prices`: the rows computed again. `ledger`: what the ledger object has settled. */
  against: 'prices' | 'ledger'
  /** What Postgres has, with what is on its way there from the object. */
  charged: bigint
  expected: bigint
}

const isOff = ({ charged, expected }: Pick<Drift, 'charged' | 'expected'>): boolean => {
  const off = charged > expected ? charged - expected : expected - charged
  return off * DRIFT_PARTS > expected
}

/** Where the books of a day do not agree with themselves, or with the object that settled them. */
export function driftsOf({ charged, recomputed }: DayBooks, total: DayTotal | undefined): Drift[] {
  const found: Drift[] = [{ against: 'prices', charged, expected: recomputed }]
  if (total) {
    const [expected, waiting] = [BigInt(total.settledNanoUsd), BigInt(total.waitingNanoUsd)]
    // What was waiting when the object was asked may have been written by the time Postgres was: as much of it counts
    // as is missing.
    const missing = expected > charged ? expected - charged : 0n
    found.push({ against: 'ledger', charged: charged + (missing < waiting ? missing : waiting), expected })
  }
  return found.filter(isOff)
}

/**
 * Computes a day of an organisation again and compares it with what its object has settled. What is off goes to the
 * log, the counters and the audit log. Throws `DependencyError`.
 */
export async function checkDay(
  deps: JobDeps,
  { orgId, day, deadlineMs }: { orgId: string; day: string; deadlineMs: number },
): Promise<Drift[]> {
  // The object first: a call that is written in between is then in both.
  const total = await deps.ledgerOf(orgId).settledOn(day)
  const books = await recomputeDay(deps, { orgId, day, isOutOfTime: () => deps.now() >= deadlineMs })
  const where = { org_id: orgId, day }
  if (books.unpriced > 0) {
    deps.log.error('ledger_rows_unpriced', { ...where, rows: books.unpriced, price_ids: books.unpricedIds })
  }
  if (books.wrong > 0) deps.log.warn('ledger_rows_wrong', { ...where, rows: books.wrong, of: books.rows })
  const drifts = driftsOf(books, total)
  for (const { against, charged, expected } of drifts) {
    const facts = { against, charged_usd: usdTextFromNano(charged), expected_usd: usdTextFromNano(expected) }
    deps.log.error('ledger_drift', { ...where, ...facts })
    if (await note(deps, { orgId, day, facts })) await count(deps, orgId, against)
  }
  return drifts
}

type Finding = { orgId: string; day: string; facts: Readonly<Record<string, string>> }

/** A row in the audit log, once for the same finding. False when it was there already. */
async function note(deps: Pick<Deps, 'db' | 'newId' | 'now'>, { orgId, day, facts }: Finding): Promise<boolean> {
  const details = JSON.stringify(facts)
  const [{ rows }] = await deps.db.atomically(orgId, (query) => [
    query.execute(
      sql`insert into audit_log (id, org_id, actor_kind, action, target_kind, target_id, details, created_at)
        select ${deps.newId('aud')}, ${orgId}, 'system', 'ledger.drift', 'day', ${day}, ${details}::jsonb,
          ${nowSeconds(deps)}
        where not exists (select from audit_log a where a.org_id = ${orgId} and a.target_id = ${day}
          and a.action = 'ledger.drift' and a.details = ${details}::jsonb)
        returning id`,
    ),
  ])
  return rows.length > 0
}

async function count({ redis, log }: JobDeps, orgId: string, against: Drift['against']): Promise<void> {
  const field = `helix_ledger_drift_total{against="${against}"}`
  try {
    await redis.pipeline([metricsKey(), metricsKey(orgId)].map((key) => ['HINCRBY', key, field, 1]))
  } catch (cause) {
    log.warn('ledger_counters_lost', { org_id: orgId, entries: 1, cause: String(cause) })
  }
}
