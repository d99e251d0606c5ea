import { and, asc, desc, eq, gt, gte, lt, lte, type SQL, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { usageLedger } from '../ledger/table.ts'
import type { UsageFilters, UsageQuery, UsageRow } from './schema.ts'

type Row = typeof usageLedger.$inferSelect

export function viewOf({ org_id: _orgId, cost_nanos, ...row }: Row): UsageRow {
  return { ...row, object: 'usage', cost_usd: usdTextFromNano(cost_nanos) }
}

/** The organisation's rows that pass the filters. */
export const isWanted = (
  orgId: string,
  { from, to, key_id, user_id, agent_id, run_id, model, provider, status }: UsageFilters,
) =>
  and(
    eq(usageLedger.org_id, orgId),
    from === undefined ? undefined : gte(usageLedger.created_at, from),
    to === undefined ? undefined : lt(usageLedger.created_at, to),
    key_id === undefined ? undefined : eq(usageLedger.key_id, key_id),
    user_id === undefined ? undefined : eq(usageLedger.user_id, user_id),
    agent_id === undefined ? undefined : eq(usageLedger.agent_id, agent_id),
    run_id === undefined ? undefined : eq(usageLedger.run_id, run_id),
    model === undefined ? undefined : eq(usageLedger.model, model),
    provider === undefined ? undefined : eq(usageLedger.provider, provider),
    status === undefined ? undefined : eq(usageLedger.status, status),
  )

/** One more than asked for. */
export async function listUsage({ db, caller: { orgId } }: Ctx, query: UsageQuery): Promise<Row[]> {
  const { limit, after, order } = query
  const isNext = order === 'asc' ? gt : lt
  return readRows({ db }, orgId, {
    where: and(isWanted(orgId, query), after === undefined ? undefined : isNext(usageLedger.id, after)),
    order,
    limit: limit + 1,
  })
}

type Part = { where: SQL | undefined; order: 'asc' | 'desc'; limit: number }

async function readRows({ db }: Pick<Ctx, 'db'>, orgId: string, { where, order, limit }: Part): Promise<Row[]> {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(usageLedger)
      .where(where)
      .orderBy((order === 'asc' ? asc : desc)(usageLedger.id))
      .limit(limit),
  ])
  return rows
}

/** How many rows pass the filters, counted up to a number, and the last of them. */
export async function extentOf(
  { db, caller: { orgId } }: Ctx,
  filters: UsageFilters,
  upTo: number,
): Promise<{ count: number; lastId: string }> {
  const [{ rows }] = await db.atomically(orgId, (query) => [
    query.execute(
      sql`select count(*)::int as count, max(id) as last from
        (select id from ${usageLedger} where ${isWanted(orgId, filters)} limit ${upTo}) as wanted`,
    ),
  ])
  return { count: Number(rows[0]?.count ?? 0), lastId: String(rows[0]?.last ?? '') }
}

/** The next page up to and with the last id, the oldest first. */
export const readPage = (
  { db, caller: { orgId } }: Ctx,
  filters: UsageFilters,
  { after, lastId, limit }: { after: string; lastId: string; limit: number },
): Promise<Row[]> =>
  readRows({ db }, orgId, {
    where: and(isWanted(orgId, filters), gt(usageLedger.id, after), lte(usageLedger.id, lastId)),
    order: 'asc',
    limit,
  })
