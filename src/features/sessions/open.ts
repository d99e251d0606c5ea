import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import type { Role } from '../../core/roles.ts'
import type { PublicCtx } from '../../http/route.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { type Audience, openMint } from '../signing/service.ts'
import { STALE_PASSWORD, stillHasPassword } from '../users/service.ts'
import { roleIn, scopesOfSession } from './grants.ts'
import { createRefreshToken, IDLE_SECONDS, SESSION_SECONDS, type TokenPair } from './refresh-token.ts'
import { loginSessions, refreshTokens } from './table.ts'

const MAX_LIVE_SESSIONS = 20
const MAX_USER_AGENT_CHARS = 256

/** A sign-in that was already found good. `role` is the membership's. */
export type NewSession = {
  userId: string
  orgId: string
  role: Role
  audience: Audience
  method: 'password' | 'oidc'
  /** The stored hash that a password was checked against: what a password opens does not outlive it. */
  passwordHash?: string | undefined
  /** The most the session may be, when another issuer says so. */
  maxRole?: Role | undefined
  ip: string
  userAgent: string | null | undefined
  /** For the audit log; `session.open` unless it is said. */
  action?: string | undefined
}

/** See `openSession` of the service. */
export async function open(ctx: PublicCtx, session: NewSession): Promise<TokenPair> {
  const { userId, orgId, audience, maxRole } = session
  const id = ctx.newId('ses')
  const [mint, refresh] = await Promise.all([openMint(ctx), createRefreshToken()])
  const role = roleIn(session.role, maxRole)
  const { token, expiresIn } = await mint({
    userId,
    orgId,
    sessionId: id,
    role,
    scopes: scopesOfSession({ audience, role }),
    audience,
  })
  await store(ctx, { ...session, id }, refresh.hash)
  return {
    access_token: token,
    token_type: 'bearer',
    expires_in: expiresIn,
    refresh_token: refresh.token,
    refresh_expires_in: IDLE_SECONDS,
  }
}

/** The session, its first refresh token and its line in the audit log, or nothing. */
async function store(ctx: PublicCtx, session: NewSession & { id: string }, tokenHash: string): Promise<void> {
  const { id, userId, orgId, audience, method, passwordHash, maxRole, ip, userAgent } = session
  const now = nowSeconds(ctx)
  const audit = await auditRow(ctx, {
    orgId,
    actor: { kind: audience === 'helix-admin' ? 'operator' : 'user', id: userId, ip },
    action: session.action ?? 'session.open',
    target: { kind: 'session', id },
    details: { audience, method },
  })
  const work = ctx.db.atomically(orgId, (query) => [
    query.execute(stillHasPassword(userId, passwordHash)),
    query.insert(loginSessions).values({
      id,
      org_id: orgId,
      user_id: userId,
      audience,
      method,
      max_role: maxRole ?? null,
      user_agent: userAgent?.slice(0, MAX_USER_AGENT_CHARS).toWellFormed() ?? null,
      ip,
      expires_at: now + SESSION_SECONDS,
      created_at: now,
      updated_at: now,
    }),
    query.insert(refreshTokens).values({
      token_hash: tokenHash,
      org_id: orgId,
      session_id: id,
      expires_at: now + IDLE_SECONDS,
      created_at: now,
    }),
    query.execute<{ id: string }>(
      sql`select id from trim_sessions(${userId}, ${method === 'oidc' ? orgId : null}, ${MAX_LIVE_SESSIONS}, ${now})`,
    ),
    // Last, as everywhere: who holds the end of the audit log waits for nothing more.
    query.insert(auditLog).values(audit),
  ])
  const [, , , trimmed] = await work.catch((error: unknown) => {
    if (sqlStateOf(error) !== STALE_PASSWORD) throw error
    throw new AppError('invalid_credentials', 'The password was changed in this moment. Sign in again.')
  })
  const ended = trimmed.rows.map((row) => recordKeys.session(row.id))
  await markChanged(ctx, ended)
}
