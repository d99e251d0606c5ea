import { and, asc, desc, eq, gt, lt } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { namesSubject } from '../subjects/service.ts'
import { type LimitRow, limitOf } from './compile.ts'
import type { LimitsQuery, LimitView } from './schema.ts'
import type { LimitSubject } from './subject.ts'
import { limits } from './table.ts'

export function viewOf(row: LimitRow): LimitView {
  const { id, subject_kind, subject_id, preset, created_at, updated_at } = row
  const { metric, algorithm, window = null, amount, burst = null, mode } = limitOf(row)
  const rule = { metric, algorithm, window, amount, burst, mode }
  return { id, object: 'limit', subject_kind, subject_id, ...rule, preset, created_at, updated_at }
}

/** Limits of an organisation; one of them by its id. */
export const isOwn = (orgId: string, id?: string) =>
  and(eq(limits.org_id, orgId), id === undefined ? undefined : eq(limits.id, id))

export const isOf = (orgId: string, { subject_kind, subject_id }: LimitSubject) =>
  and(isOwn(orgId), eq(limits.subject_kind, subject_kind), eq(limits.subject_id, subject_id))

/** One more than asked for. */
export async function listLimits({ db, caller: { orgId } }: Ctx, query: LimitsQuery): Promise<LimitRow[]> {
  const { limit, after, order, subject_kind, subject_id } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(limits)
      .where(
        and(
          isOwn(orgId),
          subject_kind === undefined ? undefined : eq(limits.subject_kind, subject_kind),
          subject_id === undefined ? undefined : namesSubject(limits.subject_id, orgId, subject_id),
          after === undefined ? undefined : isNext(limits.id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(limits.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readLimit({ db, caller: { orgId } }: Ctx, id: string): Promise<LimitRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(limits).where(isOwn(orgId, id))])
  if (!row) throw notFound('limit')
  return row
}
