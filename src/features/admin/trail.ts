import type { Ctx } from '../../core/context.ts'
import { type AuditEntry, actorOf, auditLog, auditRow } from '../audit/service.ts'

export type Act = Pick<AuditEntry, 'action' | 'target' | 'before' | 'after' | 'details'>

/** An operator's act, as the given organisation keeps it. */
export const rowIn = (ctx: Ctx, orgId: string, act: Act) => auditRow(ctx, { ...act, orgId, actor: actorOf(ctx.caller) })

/** Writes an act down in the operator's own organisation: what cannot be written down is not done. */
export async function noteAtHome(ctx: Ctx, act: Act): Promise<void> {
  const { orgId } = ctx.caller
  const row = await rowIn(ctx, orgId, act)
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(row)])
}
