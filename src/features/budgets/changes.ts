import { eq, lte, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound, unfit } from '../../core/errors.ts'
import { nanoFromUsd } from '../../core/money.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { resolveModel } from '../catalog/service.ts'
import { orgs } from '../orgs/table.ts'
import { markSubject, requireSubject } from '../subjects/service.ts'
import { type BudgetRow, isLive, readBudget, viewOf } from './rows.ts'
import type { CreateBudget, PatchBudget } from './schema.ts'
import { budgets } from './table.ts'

const MAX_BUDGETS = 50

/** States of `require`: a row is gone, or there are too many. */
const GONE = 'HX404'
const FULL = 'HX409'

/** Throws 422 for a subject that the organisation does not have, and 409 beyond fifty. */
export async function createBudget(ctx: Ctx, { limit_usd, ...wanted }: CreateBudget): Promise<BudgetRow> {
  const { orgId } = ctx.caller
  const subjectId = await subjectIdOf(ctx, wanted)
  const now = nowSeconds(ctx)
  const row: BudgetRow = {
    ...wanted,
    subject_id: subjectId,
    id: ctx.newId('bud'),
    org_id: orgId,
    limit_nanos: nanoFromUsd(limit_usd),
    parent_id: null,
    deleted_at: null,
    created_at: now,
    updated_at: now,
  }
  const note = await auditOf(ctx, 'budget.create', { after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockBudgets(query, orgId),
      query.insert(budgets).values(row),
      requireFew(query, orgId),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, row)
  return row
}

/** Whom or what a budget is for, by their id. Throws 422 for what the organisation does not have. */
async function subjectIdOf(
  ctx: Ctx,
  { subject_kind, subject_id }: Pick<CreateBudget, 'subject_kind' | 'subject_id'>,
): Promise<string> {
  if (subject_kind !== 'model') return (await requireSubject(ctx, { subject_kind, subject_id })).subject_id
  if (subject_id === undefined) throw unfit('subject_id', 'is missing')
  if (resolveModel(subject_id).some(({ price }) => price)) return subject_id
  throw unfit('subject_id', 'is not a model whose price is known')
}

/** The budget as it is now: what is absent stays. It holds from the next call on. Throws 404. */
export async function changeBudget(ctx: Ctx, id: string, { limit_usd, ...patch }: PatchBudget): Promise<BudgetRow> {
  const { orgId } = ctx.caller
  const before = await readBudget(ctx, id)
  const given = Object.entries(patch).filter(([, value]) => value !== undefined)
  const limit = limit_usd === undefined ? {} : { limit_nanos: nanoFromUsd(limit_usd) }
  const change = { ...Object.fromEntries(given), ...limit }
  if (Object.keys(change).length === 0) return before
  const row: BudgetRow = { ...before, ...change, updated_at: nowSeconds(ctx) }
  const note = await auditOf(ctx, 'budget.update', { before, after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, id),
      query
        .update(budgets)
        .set({ ...change, updated_at: row.updated_at })
        .where(isLive(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, row)
  return row
}

/** Throws 404. */
export async function deleteBudget(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readBudget(ctx, id)
  const now = nowSeconds(ctx)
  const note = await auditOf(ctx, 'budget.delete', { before })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, id),
      query.update(budgets).set({ deleted_at: now, updated_at: now }).where(isLive(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, before)
}

/** Ends the transaction unless the budget is still there, and keeps it so until the end. */
const stands = (query: QueryBuilder, orgId: string, id: string) =>
  require(query, sql`exists(select from ${budgets} where ${isLive(orgId, id)} for update)`, GONE)

const require = (query: QueryBuilder, held: SQL, state: string) => query.execute(sql`select require(${held}, ${state})`)

/** Whoever makes a budget waits for others who do, so that each counts what the others made. */
const lockBudgets = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

function requireFew(query: QueryBuilder, orgId: string) {
  const live = query.select({ count: sql`count(*)` }).from(budgets).where(isLive(orgId))
  return require(query, lte(sql`${live}`, MAX_BUDGETS), FULL)
}

function auditOf(ctx: Ctx, action: string, { before, after }: { before?: BudgetRow; after?: BudgetRow }) {
  const row = after ?? before
  const view = row && viewOf(row)
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'budget', id: row?.id ?? '' },
    before: before && viewOf(before),
    after: after && viewOf(after),
    details: { subject_kind: view?.subject_kind, limit_usd: view?.limit_usd, hard: view?.hard, window: view?.window },
  })
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === GONE) throw notFound('budget')
    if (state === FULL) throw new AppError('conflict', `An organisation has at most ${MAX_BUDGETS} budgets.`)
    throw error
  }
}
