import type { Limit } from '../../core/admission.ts'
import type { limits } from './table.ts'

export type LimitRow = typeof limits.$inferSelect

/** A row as admission knows it. */
export function limitOf(row: LimitRow): Limit {
  const window = row.calendar ?? row.window_seconds ?? undefined
  return {
    id: row.id,
    subject: row.subject_kind,
    ...(row.subject_kind === 'provider' ? { target: row.subject_id } : {}),
    metric: row.metric,
    algorithm: row.algorithm,
    ...(window === undefined ? {} : { window }),
    amount: row.amount,
    ...(row.algorithm === 'token_bucket' ? { burst: row.burst ?? row.amount } : {}),
    mode: row.mode,
  }
}

/**
 * The limits of one caller. All of them apply, so the strictest decides; of those that differ in nothing but their
 * amounts the one that another makes pointless is left out.
 */
export function compileLimits(rows: readonly LimitRow[]): Limit[] {
  const all = rows.map(limitOf)
  return all.filter((limit, at) => !all.some((other, place) => makesPointless(other, limit, place < at)))
}

function makesPointless(other: Limit, limit: Limit, isFirst: boolean): boolean {
  const isSameKind =
    other.subject === limit.subject &&
    other.target === limit.target &&
    other.metric === limit.metric &&
    other.algorithm === limit.algorithm &&
    other.window === limit.window &&
    other.mode === limit.mode
  if (other === limit || !isSameKind) return false
  const [burst, least] = [limit.burst ?? 0, other.burst ?? 0]
  if (other.amount === limit.amount && least === burst) return isFirst
  return other.amount <= limit.amount && least <= burst
}
