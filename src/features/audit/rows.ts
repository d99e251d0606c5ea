import { and, asc, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import type { AuditFilters, AuditQuery, AuditView } from './schema.ts'
import { auditLog } from './table.ts'

export type AuditEntryRow = typeof auditLog.$inferSelect

export const viewOf = ({ org_id: _orgId, ...row }: AuditEntryRow): AuditView => ({ object: 'audit_entry', ...row })

function hasAction(action: string): SQL {
  return action.endsWith('.') ? sql`starts_with(${auditLog.action}, ${action})` : eq(auditLog.action, action)
}

/** Rows of an organisation behind a row of its own, in the order of time. */
function isBehind(orgId: string, { after, order }: AuditFilters): SQL | undefined {
  if (after === undefined) return undefined
  const than = sql`(select c.created_at, c.id from audit_log c where c.org_id = ${orgId} and c.id = ${after})`
  const place = sql`(${auditLog.created_at}, ${auditLog.id})`
  return order === 'asc' ? sql`${place} > ${than}` : sql`${place} < ${than}`
}

function conditions(orgId: string, filters: AuditFilters): SQL | undefined {
  const { actor, action, target, from, to } = filters
  return and(
    eq(auditLog.org_id, orgId),
    actor === undefined ? undefined : eq(auditLog.actor_id, actor),
    action === undefined ? undefined : hasAction(action),
    target === undefined ? undefined : eq(auditLog.target_id, target),
    from === undefined ? undefined : gte(auditLog.created_at, from),
    to === undefined ? undefined : lt(auditLog.created_at, to),
    isBehind(orgId, filters),
  )
}

const inOrder = ({ order }: AuditFilters): SQL[] => {
  const by = order === 'asc' ? asc : desc
  return [by(auditLog.created_at), by(auditLog.id)]
}

export async function readRows(
  { db, caller: { orgId } }: Ctx,
  { limit, ...filters }: AuditFilters & { limit: number },
): Promise<AuditEntryRow[]> {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(auditLog)
      .where(conditions(orgId, filters))
      .orderBy(...inOrder(filters))
      .limit(limit),
  ])
  return rows
}

/** One row more than asked for, if there is one. */
export const listAudit = (ctx: Ctx, { limit, ...filters }: AuditQuery): Promise<AuditEntryRow[]> =>
  readRows(ctx, { ...filters, limit: limit + 1 })

/** The id of the last of so many rows, when there are more; undefined when that is all. */
export async function endOfPart(
  { db, caller: { orgId } }: Ctx,
  filters: AuditFilters,
  rows: number,
): Promise<string | undefined> {
  const [found] = await db.atomically(orgId, (query) => [
    query
      .select({ id: auditLog.id })
      .from(auditLog)
      .where(conditions(orgId, filters))
      .orderBy(...inOrder(filters))
      .offset(rows - 1)
      .limit(2),
  ])
  return found.length === 2 ? found[0]?.id : undefined
}
