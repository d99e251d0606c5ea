import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { type PageQuery, toPage } from '../../http/page.ts'
import { openSession, type TokenPair } from '../sessions/service.ts'
import { findMemberships } from '../users/service.ts'
import { clientOf, isBound, personOf, requireOwnSession } from './guard.ts'
import { chooseMembership } from './sign-in.ts'
import { endOwnSessions } from './trail.ts'

/** The caller's sessions, the newest first; through another issuer's session only those of its organisation. */
async function ownSessions(ctx: Ctx) {
  const { orgId, keyId } = ctx.caller
  const [rows, bound] = await Promise.all([
    ctx.db.query(sql`select * from find_sessions(${personOf(ctx)}, ${nowSeconds(ctx)})`),
    isBound(ctx),
  ])
  return rows
    .map((row) => ({
      id: String(row.id),
      org_id: String(row.org_id),
      org_name: String(row.org_name),
      audience: row.audience === 'helix-admin' ? ('helix-admin' as const) : ('helix' as const),
      method: row.method === 'oidc' ? ('oidc' as const) : ('password' as const),
      user_agent: row.user_agent === null ? null : String(row.user_agent),
      ip: row.ip === null ? null : String(row.ip),
      is_current: row.id === keyId,
      created_at: Number(row.created_at),
      refreshed_at: row.refreshed_at === null ? null : Number(row.refreshed_at),
      expires_at: Number(row.expires_at),
    }))
    .filter((session) => !bound || session.org_id === orgId)
}

/** A page of them. There are never more than a few, so all of them are read. */
export async function listSessions(ctx: Ctx, { limit, after, order }: PageQuery) {
  const sessions = await ownSessions(ctx)
  const sorted = sessions.sort((a, b) => (a.id < b.id ? -1 : 1) * (order === 'asc' ? 1 : -1))
  const rest = sorted.filter(({ id }) => after === undefined || (order === 'asc' ? id > after : id < after))
  return toPage(rest.slice(0, limit + 1), limit)
}

/** Throws 404 for a session that is not the caller's, or not any more. */
export async function endSession(ctx: Ctx, id: string): Promise<void> {
  const sessions = await ownSessions(ctx)
  if (!sessions.some((session) => session.id === id)) throw notFound('session')
  await endOwnSessions(ctx, { userId: personOf(ctx), onlyId: id, now: nowSeconds(ctx) }, 'session.end')
}

/** Ends the session of this call. */
export const logout = (ctx: Ctx): Promise<void> =>
  endOwnSessions(ctx, { userId: personOf(ctx), onlyId: ctx.caller.keyId, now: nowSeconds(ctx) }, 'session.end')

/** Ends every session of the caller; through another issuer's session those of its organisation. */
export async function logoutAll(ctx: Ctx): Promise<void> {
  const whose = { userId: personOf(ctx), now: nowSeconds(ctx) }
  if (!(await isBound(ctx))) return endOwnSessions(ctx, whose, 'session.end_all')
  for (const { id } of await ownSessions(ctx)) await endOwnSessions(ctx, { ...whose, onlyId: id }, 'session.end')
}

/** A session of the same kind in another organisation. Throws 404 for one that the caller is no member of, and 403. */
export async function switchOrg(ctx: Ctx, orgId: string, request: Request): Promise<TokenPair> {
  const { audience } = await requireOwnSession(ctx)
  const userId = personOf(ctx)
  const memberships = await findMemberships(ctx, userId)
  if (!memberships.some((membership) => membership.orgId === orgId)) throw notFound('organisation')
  const { role } = chooseMembership(memberships, orgId)
  return openSession(ctx, { userId, orgId, role, audience, method: 'password', ...clientOf(request) })
}
