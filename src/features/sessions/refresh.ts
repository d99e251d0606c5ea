import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Row } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { isRole } from '../../core/roles.ts'
import type { PublicCtx } from '../../http/route.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { openMint } from '../signing/service.ts'
import { roleIn, scopesOfSession } from './grants.ts'
import { createRefreshToken, hashRefreshToken, IDLE_SECONDS, type TokenPair } from './refresh-token.ts'

/** The same words for every reason: a stolen token shall not tell what became of its session. */
const refused = () => new AppError('invalid_credentials', 'This refresh token is not valid. Sign in again.')

/**
 * See `refreshSession` of the service. Whatever may be away is asked before the token is used up: a caller who has to
 * try again with a token that was used would lose the session.
 */
export async function refresh(ctx: PublicCtx, refreshToken: string): Promise<TokenPair> {
  const oldHash = await hashRefreshToken(refreshToken)
  if (oldHash === undefined) throw refused()
  const [found] = await ctx.db.query(sql`select session_id from find_refresh(${oldHash})`)
  if (!found) throw refused()
  const message = 'This session was refreshed too often.'
  await takeOrRefuse(ctx, 'refreshes_per_session', { subject: String(found.session_id), message })
  const [mint, next] = await Promise.all([openMint(ctx), createRefreshToken()])
  const now = nowSeconds(ctx)
  const [used] = await ctx.db.query(
    sql`select * from rotate_refresh(${oldHash}, ${next.hash}, ${now}, ${IDLE_SECONDS})`,
  )
  if (used?.outcome === 'reused') await reportReuse(ctx, used)
  if (used?.outcome !== 'rotated' || !isRole(used.role)) throw refused()
  const role = roleIn(used.role, used.max_role)
  const audience = used.audience === 'helix-admin' ? 'helix-admin' : 'helix'
  const { token, expiresIn } = await mint({
    userId: String(used.user_id),
    orgId: String(used.org_id),
    sessionId: String(used.session_id),
    role,
    scopes: scopesOfSession({ audience, role }),
    audience,
  })
  return {
    access_token: token,
    token_type: 'bearer',
    expires_in: expiresIn,
    refresh_token: next.token,
    refresh_expires_in: Number(used.refresh_expires_at) - now,
  }
}

/** Two hold the same token, and one of them is not its owner: the session has ended for both (RFC 9700, 4.14.2). */
async function reportReuse(ctx: PublicCtx, used: Row): Promise<void> {
  const [sessionId, orgId, userId] = [String(used.session_id), String(used.org_id), String(used.user_id)]
  ctx.log.warn('refresh_token_reused', { session_id: sessionId, org_id: orgId, user_id: userId })
  await markChanged(ctx, [recordKeys.session(sessionId)])
  const audit = await auditRow(ctx, {
    orgId,
    actor: { kind: 'anonymous', id: null, ip: null },
    action: 'session.reuse',
    target: { kind: 'session', id: sessionId },
    details: { user_id: userId },
  })
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(audit)])
}
