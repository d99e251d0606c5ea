import { and, eq, isNull, lt, or, sql } from 'drizzle-orm'
import type { Limit, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { narrow } from '../../core/roles.ts'
import { budgets } from '../budgets/table.ts'
import type { KeyRecord } from '../keys/service.ts'
import { apiKeys } from '../keys/table.ts'
import { type SessionRecord, scopesOfSession } from '../sessions/service.ts'
import { policies } from './table.ts'

/** Whom a policy is compiled for: an API key, or the session of a person. */
export type Subject = KeyRecord | SessionRecord

/** How exactly a key's last use is known: writing it each time would only cost. */
const USE_STEP_SECONDS = 300

/**
 * Everything that governs a key or a session, compiled from its own rules and its organisation's. That a policy is
 * wanted means that its key is in use, which is noted on the way. Throws `DependencyError('postgres')`.
 */
export async function compilePolicy({ db, now }: Pick<Deps, 'db' | 'now'>, subject: Subject): Promise<Policy> {
  const { orgId, id } = subject
  const nowSeconds = Math.floor(now() / 1000)
  const [rules, caps] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(policies)
      .where(
        and(
          eq(policies.org_id, orgId),
          or(eq(policies.attach_kind, 'org'), and(eq(policies.attach_kind, 'key'), eq(policies.attach_id, id))),
        ),
      )
      .orderBy(policies.id),
    query
      .select()
      .from(budgets)
      .where(
        and(
          eq(budgets.org_id, orgId),
          eq(budgets.hard, sql`true`),
          or(eq(budgets.subject_kind, 'org'), and(eq(budgets.subject_kind, 'key'), eq(budgets.subject_id, id))),
        ),
      )
      .orderBy(budgets.id),
    query
      .update(apiKeys)
      .set({ last_used_at: nowSeconds })
      .where(
        and(
          eq(apiKeys.org_id, orgId),
          eq(apiKeys.id, id),
          or(isNull(apiKeys.last_used_at), lt(apiKeys.last_used_at, nowSeconds - USE_STEP_SECONDS)),
        ),
      ),
  ])
  const body: Omit<Policy, 'version'> = {
    ...('audience' in subject ? ofSession(subject) : ofKey(subject)),
    limits: rules.flatMap((rule) =>
      rule.limits.map(
        (spec): Limit => ({
          id: `${rule.id}:${spec.metric}`,
          subject: rule.attach_kind,
          metric: spec.metric,
          perMinute: spec.per_minute,
          burst: spec.burst ?? spec.per_minute,
        }),
      ),
    ),
    budgets: caps.map((cap) => ({ id: cap.id, window: cap.window, limitNanoUsd: cap.limit_nanos })),
  }
  return { ...body, version: await versionOf(body) }
}

type Own = Omit<Policy, 'version' | 'limits' | 'budgets'>

const ofKey = (key: KeyRecord): Own => ({
  orgId: key.orgId,
  keyId: key.id,
  kind: 'api_key',
  userId: key.userId,
  role: key.role,
  mode: key.mode,
  scopes: key.role === undefined ? key.scopes : narrow(key.scopes, key.role),
  allowedIps: key.allowedIps,
  allowedModels: key.allowedModels,
  expiresAt: key.expiresAt,
})

const ofSession = (session: SessionRecord): Own => ({
  orgId: session.orgId,
  keyId: session.id,
  kind: session.audience === 'helix-admin' ? 'operator' : 'user',
  userId: session.userId,
  role: session.role,
  mode: 'live',
  scopes: scopesOfSession(session),
  allowedModels: undefined,
  expiresAt: session.expiresAt,
})

/** Equal contents have an equal version, whichever isolate compiled them. */
async function versionOf(body: Omit<Policy, 'version'>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(body)))
  return Buffer.from(digest).toString('base64url').slice(0, 16)
}
