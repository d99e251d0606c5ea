import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { Role } from '../../core/roles.ts'
import type { PublicCtx } from '../../http/route.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import type { Audience } from '../signing/service.ts'
import { roleIn } from './grants.ts'
import type { NewSession } from './open.ts'
import type { TokenPair } from './refresh-token.ts'

export { scopesOfSession } from './grants.ts'
export type { NewSession } from './open.ts'
export type { TokenPair } from './refresh-token.ts'

/** A live session. `role` is what the person may be in it now; `expiresAt` in Unix seconds. */
export type SessionRecord = {
  id: string
  orgId: string
  userId: string
  audience: Audience
  role: Role
  method: 'password' | 'oidc'
  expiresAt: number
}

// Loaded by the first look-up: most isolates find every session in Redis.
const load = () =>
  Promise.all([
    import('drizzle-orm/sql'),
    import('./table.ts'),
    import('../users/table.ts'),
    import('../orgs/table.ts'),
  ])

/**
 * Opens a session for somebody who proved who they are, in one transaction with its first refresh token and the audit
 * row. Of more than twenty live sessions of a person, those that were quiet the longest end.
 * Throws `DependencyError('postgres')`; then there is no session.
 */
export async function openSession(ctx: PublicCtx, session: NewSession): Promise<TokenPair> {
  return (await import('./open.ts')).open(ctx, session)
}

/**
 * Exchanges a refresh token, once, for a new pair with the role of now. A token that comes a second time ends its
 * session for everybody who holds one of it.
 * Throws `AppError` 401 `invalid_credentials` for a token that is no (longer) good, for a person who may not be there
 * any more and for an organisation that is suspended; 429 beyond 30 a minute; `DependencyError` when Redis or Postgres
 * is away.
 */
export async function refreshSession(ctx: PublicCtx, refreshToken: string): Promise<TokenPair> {
  return (await import('./refresh.ts')).refresh(ctx, refreshToken)
}

/**
 * A session that may be used now: neither it nor the person, the membership or the organisation has ended, and the
 * person is still an operator if it is for that. Throws `DependencyError('postgres')`.
 */
export async function findSession(
  { db, now }: Pick<Deps, 'db' | 'now'>,
  orgId: string,
  sessionId: string,
): Promise<SessionRecord | undefined> {
  const [{ and, eq, gt, isNull }, { loginSessions: session }, { memberships, users }, { orgs }] = await load()
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({
        userId: session.user_id,
        audience: session.audience,
        method: session.method,
        maxRole: session.max_role,
        expiresAt: session.expires_at,
        role: memberships.role,
        isOperator: users.is_operator,
      })
      .from(session)
      .innerJoin(memberships, and(eq(memberships.org_id, session.org_id), eq(memberships.user_id, session.user_id)))
      .innerJoin(users, eq(users.id, session.user_id))
      .innerJoin(orgs, eq(orgs.id, session.org_id))
      .where(
        and(
          eq(session.org_id, orgId),
          eq(session.id, sessionId),
          isNull(session.revoked_at),
          gt(session.expires_at, secondsOf(now())),
          memberships.is_active,
          users.is_active,
          eq(orgs.status, 'active'),
          isNull(orgs.deleted_at),
        ),
      ),
  ])
  if (!row || (row.audience === 'helix-admin' && !row.isOperator)) return undefined
  const { userId, audience, method, maxRole, expiresAt } = row
  return { id: sessionId, orgId, userId, audience, role: roleIn(row.role, maxRole), method, expiresAt }
}

/**
 * Ends sessions of a person, in whatever organisation: one, or all of them, or all except one. Answers the ids of those
 * that had not ended; their next call is refused. Throws `DependencyError('postgres')`.
 */
export async function revokeSessions(
  deps: Pick<Deps, 'db' | 'redis' | 'log' | 'newId' | 'now'>,
  { userId, onlyId = null, exceptId = null }: { userId: string; onlyId?: string | null; exceptId?: string | null },
): Promise<string[]> {
  const { sql } = await import('drizzle-orm/sql')
  const now = secondsOf(deps.now())
  const rows = await deps.db.query(sql`select id from revoke_sessions(${userId}, ${onlyId}, ${exceptId}, ${now})`)
  const ids = rows.map(({ id }) => String(id))
  await markChanged(deps, ids.map(recordKeys.session))
  return ids
}

/**
 * The record keys of live sessions in an organisation, of one person or of everybody: what to mark after a change of
 * either. Throws `DependencyError('postgres')`.
 */
export async function sessionRecordsOf(
  { db, now }: Pick<Deps, 'db' | 'now'>,
  orgId: string,
  userId?: string,
): Promise<string[]> {
  const [{ and, eq, gt, isNull }, { loginSessions: session }] = await load()
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: session.id })
      .from(session)
      .where(
        and(
          eq(session.org_id, orgId),
          userId === undefined ? undefined : eq(session.user_id, userId),
          isNull(session.revoked_at),
          gt(session.expires_at, secondsOf(now())),
        ),
      ),
  ])
  return rows.map(({ id }) => recordKeys.session(id))
}
