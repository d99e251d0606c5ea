import { and, asc, desc, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { usageLedger } from '../ledger/table.ts'
import type { CallView, RequestFields, RequestsQuery, RequestView } from './schema.ts'
import { requestLog } from './table.ts'

type Row = typeof requestLog.$inferSelect

export const viewOf = ({ request_id: id, org_id: _orgId, ...row }: Row): RequestFields => ({
  id,
  object: 'request',
  ...row,
})

function hasStatus(status: string): SQL | undefined {
  if (!status.endsWith('xx')) return eq(requestLog.status_code, Number(status))
  const least = Number(status.charAt(0)) * 100
  return and(gte(requestLog.status_code, least), lt(requestLog.status_code, least + 100))
}

/** Rows of an organisation behind a row of its own, in the order of time. */
function isBehind(orgId: string, { after, order }: RequestsQuery): SQL | undefined {
  if (after === undefined) return undefined
  const than = sql`(select c.created_at, c.request_id from request_log c where c.org_id = ${orgId} and c.request_id = ${after})`
  const place = sql`(${requestLog.created_at}, ${requestLog.request_id})`
  return order === 'asc' ? sql`${place} > ${than}` : sql`${place} < ${than}`
}

/** One row more than asked for, if there is one. */
export async function listRequests({ db, caller: { orgId } }: Ctx, query: RequestsQuery): Promise<Row[]> {
  const { key_id, user_id, status, path, from, to } = query
  const by = query.order === 'asc' ? asc : desc
  const [rows] = await db.atomically(orgId, (builder) => [
    builder
      .select()
      .from(requestLog)
      .where(
        and(
          eq(requestLog.org_id, orgId),
          key_id === undefined ? undefined : eq(requestLog.key_id, key_id),
          user_id === undefined ? undefined : eq(requestLog.user_id, user_id),
          status === undefined ? undefined : hasStatus(status),
          path === undefined ? undefined : eq(requestLog.path, path),
          from === undefined ? undefined : gte(requestLog.created_at, from),
          to === undefined ? undefined : lt(requestLog.created_at, to),
          isBehind(orgId, query),
        ),
      )
      .orderBy(by(requestLog.created_at), by(requestLog.request_id))
      .limit(query.limit + 1),
  ])
  return rows
}

/** Throws 404 for a request of another organisation. */
export async function readRequest({ db, caller: { orgId } }: Ctx, id: string): Promise<RequestView> {
  const [[row], calls] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(requestLog)
      .where(and(eq(requestLog.org_id, orgId), eq(requestLog.request_id, id))),
    query
      .select()
      .from(usageLedger)
      .where(
        and(eq(usageLedger.org_id, orgId), or(eq(usageLedger.request_id, id), eq(usageLedger.parent_request_id, id))),
      )
      .orderBy(sql`${usageLedger.parent_request_id} nulls first`, usageLedger.created_at, usageLedger.id),
  ])
  if (!row) throw notFound('request')
  const costNanos = calls.reduce((sum, call) => sum + BigInt(call.cost_nanos), 0n)
  return { ...viewOf(row), calls: calls.map(callOf), cost_usd: usdTextFromNano(costNanos) }
}

function callOf(row: typeof usageLedger.$inferSelect): CallView {
  const { id, request_id, operation, provider, model, status, error_code, stream, attempts, estimated } = row
  const { prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens } = row
  const { price_id, latency_ms, ttft_ms, created_at } = row
  return {
    id,
    request_id,
    operation,
    provider,
    model,
    status,
    error_code,
    stream,
    attempts,
    usage: { prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens },
    estimated,
    cost_usd: usdTextFromNano(row.cost_nanos),
    price_id,
    latency_ms,
    ttft_ms,
    created_at,
  }
}
