import { sql } from 'drizzle-orm/sql'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import type { PublicCtx } from '../../http/route.ts'
import { type AuditEntry, actorOf, auditLog, auditRow } from '../audit/service.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { findMemberships } from '../users/service.ts'

type PersonalEntry = Omit<AuditEntry, 'orgId'>

/** Writes down what concerns a person as such, in each of their organisations except one that has it already. */
export async function auditEverywhere(
  ctx: PublicCtx,
  userId: string,
  { except, ...entry }: PersonalEntry & { except?: string | undefined },
): Promise<void> {
  const memberships = await findMemberships(ctx, userId)
  const others = memberships.filter(({ orgId }) => orgId !== except)
  await Promise.all(
    others.map(async ({ orgId }) => {
      const row = await auditRow(ctx, { ...entry, orgId })
      await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(row)])
    }),
  )
}

export type Ending = { userId: string; onlyId?: string | undefined; exceptId?: string | undefined; now: number }

/** Ends sessions of a person, for a transaction; its rows are their ids. */
export const endSessions = (query: QueryBuilder, { userId, onlyId, exceptId, now }: Ending) =>
  query.execute<{ id: string }>(
    sql`select id from revoke_sessions(${userId}, ${onlyId ?? null}, ${exceptId ?? null}, ${now})`,
  )

/** After the commit: has admission notice that these sessions are over. */
export const forgetSessions = (ctx: PublicCtx, { rows }: { rows: readonly { id: string }[] }): Promise<void> =>
  markChanged(
    ctx,
    rows.map(({ id }) => recordKeys.session(id)),
  )

/** Ends sessions of the caller together with a row that says so. */
export async function endOwnSessions(ctx: Ctx, ending: Ending, action: string): Promise<void> {
  const { orgId } = ctx.caller
  const target = ending.onlyId === undefined ? undefined : { kind: 'session', id: ending.onlyId }
  const row = await auditRow(ctx, { orgId, actor: actorOf(ctx.caller), action, target })
  const [ended] = await ctx.db.atomically(orgId, (query) => [
    endSessions(query, ending),
    query.insert(auditLog).values(row),
  ])
  await forgetSessions(ctx, ended)
}
