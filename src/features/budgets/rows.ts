import { and, asc, desc, eq, gt, isNull, lt } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import { namesSubject } from '../subjects/service.ts'
import type { BudgetsQuery, BudgetView } from './schema.ts'
import { budgets } from './table.ts'

export type BudgetRow = typeof budgets.$inferSelect

export function viewOf({
  id,
  name,
  subject_kind,
  subject_id,
  window,
  limit_nanos,
  parent_id,
  ...row
}: BudgetRow): BudgetView {
  const { hard, soft_percent, created_at, updated_at } = row
  const limit_usd = usdFromNano(limit_nanos)
  const rest = { limit_usd, hard, soft_percent, created_at, updated_at }
  return { id, object: 'budget', name, subject_kind, subject_id, parent_run_id: parent_id, window, ...rest }
}

/** Budgets of an organisation that were not deleted; one of them by its id. */
export const isLive = (orgId: string, id?: string) =>
  and(eq(budgets.org_id, orgId), isNull(budgets.deleted_at), id === undefined ? undefined : eq(budgets.id, id))

/** One more than asked for. */
export async function listBudgets({ db, caller: { orgId } }: Ctx, query: BudgetsQuery): Promise<BudgetRow[]> {
  const { limit, after, order, subject_kind, subject_id } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(budgets)
      .where(
        and(
          isLive(orgId),
          subject_kind === undefined ? undefined : eq(budgets.subject_kind, subject_kind),
          subject_id === undefined ? undefined : namesSubject(budgets.subject_id, orgId, subject_id),
          after === undefined ? undefined : isNext(budgets.id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(budgets.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readBudget({ db, caller: { orgId } }: Ctx, id: string): Promise<BudgetRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(budgets).where(isLive(orgId, id))])
  if (!row) throw notFound('budget')
  return row
}
