import { and, eq, lte, ne, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { nanoFromUsd } from '../../core/money.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { type BudgetRow, isLive, readBudget, viewOf } from './rows.ts'
import type { CreateBudget, PatchBudget } from './schema.ts'
import { checkRun, requireNoChildren, requireRunFits, runFault, subjectOf, tellOf } from './subject.ts'
import { budgets } from './table.ts'

const MAX_BUDGETS = 50
/** Apart from the others: a run's is nobody's but the ledger's, which knows those that are under way. */
const MAX_RUNS = 10_000

/** States of `require`: a row is gone, or there are too many. */
const GONE = 'HX404'
const FULL = 'HX409'

/** Throws 422 for a subject that the organisation does not have, and 409 beyond as many as it may have. */
export async function createBudget(ctx: Ctx, wanted: CreateBudget): Promise<BudgetRow> {
  const { orgId } = ctx.caller
  const { limit_usd, parent_run_id: _parent, ...given } = wanted
  const now = nowSeconds(ctx)
  const row: BudgetRow = {
    ...given,
    ...(await subjectOf(ctx, wanted)),
    id: ctx.newId('bud'),
    org_id: orgId,
    limit_nanos: nanoFromUsd(limit_usd),
    deleted_at: null,
    created_at: now,
    updated_at: now,
  }
  const note = await auditOf(ctx, 'budget.create', { after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockBudgets(query, orgId),
      ...(isRun(row) ? [requireRunFits(query, row)] : []),
      query.insert(budgets).values(row),
      requireFew(query, row),
      query.insert(auditLog).values(note),
    ]),
  )
  await tellOf(ctx, row)
  return row
}

const isRun = ({ subject_kind }: BudgetRow): boolean => subject_kind === 'run'

/**
 * The budget as it is now: what is absent stays. It holds from the next call on. Throws 404, and 422 for what a run's
 * cannot be.
 */
export async function changeBudget(ctx: Ctx, id: string, { limit_usd, ...patch }: PatchBudget): Promise<BudgetRow> {
  const { orgId } = ctx.caller
  const before = await readBudget(ctx, id)
  if (isRun(before)) checkRun(patch)
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
  await tellOf(ctx, row)
  return row
}

/** Throws 404, and 409 for a run that has runs of its own. */
export async function deleteBudget(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readBudget(ctx, id)
  const now = nowSeconds(ctx)
  const note = await auditOf(ctx, 'budget.delete', { before })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, id),
      ...(isRun(before) ? [lockBudgets(query, orgId), requireNoChildren(query, before)] : []),
      query.update(budgets).set({ deleted_at: now, updated_at: now }).where(isLive(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await tellOf(ctx, before)
}

/** Ends the transaction unless the budget is still there, and keeps it so until the end. */
const stands = (query: QueryBuilder, orgId: string, id: string) =>
  require(query, sql`exists(select from ${budgets} where ${isLive(orgId, id)} for update)`, GONE)

const require = (query: QueryBuilder, held: SQL, state: string) => query.execute(sql`select require(${held}, ${state})`)

/** Whoever makes a budget waits for others who do, so that each counts what the others made. */
const lockBudgets = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

function requireFew(query: QueryBuilder, row: BudgetRow) {
  const isAlike = (isRun(row) ? eq : ne)(budgets.subject_kind, 'run')
  const live = query
    .select({ count: sql`count(*)` })
    .from(budgets)
    .where(and(isLive(row.org_id), isAlike))
  return require(query, lte(sql`${live}`, isRun(row) ? MAX_RUNS : MAX_BUDGETS), FULL)
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
    if (state !== FULL) throw runFault(state) ?? error
    throw new AppError('conflict', `An organisation has at most ${MAX_BUDGETS} budgets, and ${MAX_RUNS} of runs.`)
  }
}
