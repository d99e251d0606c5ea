import { and, eq, inArray, isNull } from 'drizzle-orm'
import type { QueryBuilder } from '../../core/db.ts'
import { recordKeys } from '../records/service.ts'
import { loginSessions } from '../sessions/table.ts'
import { oidcIdentities } from './table.ts'

/** `now` in Unix seconds. */
export type Ending = { orgId: string; providerId: string; now: number }

/** Ends every session that another issuer vouched for of people who come through this provider; its rows are their ids. */
export const endSessions = (query: QueryBuilder, { orgId, providerId, now }: Ending) =>
  query
    .update(loginSessions)
    .set({ revoked_at: now, updated_at: now })
    .where(
      and(
        eq(loginSessions.org_id, orgId),
        eq(loginSessions.method, 'oidc'),
        isNull(loginSessions.revoked_at),
        inArray(
          loginSessions.user_id,
          query
            .select({ id: oidcIdentities.user_id })
            .from(oidcIdentities)
            .where(and(eq(oidcIdentities.org_id, orgId), eq(oidcIdentities.provider_id, providerId))),
        ),
      ),
    )
    .returning({ id: loginSessions.id })

/** What admission knows ended sessions by. */
export const recordsOf = (sessions: readonly { id: string }[]): string[] =>
  sessions.map(({ id }) => recordKeys.session(id))
