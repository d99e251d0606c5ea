import { and, eq, gt, isNull } from 'drizzle-orm'
import { type SQL, sql } from 'drizzle-orm/sql'
import type { Deps } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import type { Role } from '../../core/roles.ts'
import { apiKeys } from '../keys/table.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { loginSessions } from '../sessions/table.ts'
import { memberships } from '../users/table.ts'

/** A person in an organisation, or without one everybody in it. `now` in Unix seconds. */
export type Whose = { orgId: string; userId?: string | undefined; now: number }

const sessionsOf = ({ orgId, userId, now }: Whose) =>
  and(
    eq(loginSessions.org_id, orgId),
    userId === undefined ? undefined : eq(loginSessions.user_id, userId),
    isNull(loginSessions.revoked_at),
    gt(loginSessions.expires_at, now),
  )

const keysOf = ({ orgId, userId }: Whose) =>
  and(
    eq(apiKeys.org_id, orgId),
    userId === undefined ? undefined : eq(apiKeys.user_id, userId),
    isNull(apiKeys.revoked_at),
  )

const session = { id: loginSessions.id }
const key = { hash: apiKeys.secret_hash }

/** Two statements that read which credentials are alive. Their results are for `markAll`. */
export const findAccess = (query: QueryBuilder, whose: Whose) =>
  [
    query.select(session).from(loginSessions).where(sessionsOf(whose)),
    query.select(key).from(apiKeys).where(keysOf(whose)),
  ] as const

/** Two statements that end every credential. Their results are for `markAll`. */
export const endAccess = (query: QueryBuilder, whose: Whose) => {
  const ended = { revoked_at: whose.now, updated_at: whose.now }
  return [
    query.update(loginSessions).set(ended).where(sessionsOf(whose)).returning(session),
    query.update(apiKeys).set(ended).where(keysOf(whose)).returning(key),
  ] as const
}

const MARKS_AT_ONCE = 500

/** Tells admission that these credentials changed. */
export async function markAll(
  deps: Pick<Deps, 'redis' | 'log' | 'newId'>,
  sessions: readonly { id: string }[],
  keys: readonly { hash: string }[],
): Promise<void> {
  const records = [...sessions.map(({ id }) => recordKeys.session(id)), ...keys.map(({ hash }) => recordKeys.key(hash))]
  for (let at = 0; at < records.length; at += MARKS_AT_ONCE) {
    await markChanged(deps, records.slice(at, at + MARKS_AT_ONCE))
  }
}

/** SQLSTATE of a transaction that rested on something which has changed in the meantime. */
export const STALE = 'HX412'

export type Standing = { role: Role; isActive: boolean }

/** Ends the transaction with `STALE` unless a member still stands as was read, and keeps it so until the end. */
export const stands = (orgId: string, userId: string, { role, isActive }: Standing): SQL =>
  sql`select require(exists(
    select from ${memberships}
    where org_id = ${orgId} and user_id = ${userId} and role = ${role} and is_active = ${isActive}
    for update
  ), ${STALE})`
