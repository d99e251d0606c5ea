import { and, eq, or, sql } from 'drizzle-orm'
import type { Limit, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { narrow } from '../../core/roles.ts'
import { budgets } from '../budgets/table.ts'
import type { KeyRecord } from '../keys/service.ts'
import { policies } from './table.ts'

/** Everything that governs a key, compiled from its own rules and its organisation's. Throws `DependencyError('postgres')`. */
export async function compilePolicy({ db }: Pick<Deps, 'db'>, key: KeyRecord): Promise<Policy> {
  const [rules, caps] = await db.atomically(key.orgId, (query) => [
    query
      .select()
      .from(policies)
      .where(
        and(
          eq(policies.org_id, key.orgId),
          or(eq(policies.attach_kind, 'org'), and(eq(policies.attach_kind, 'key'), eq(policies.attach_id, key.id))),
        ),
      )
      .orderBy(policies.id),
    query
      .select()
      .from(budgets)
      .where(
        and(
          eq(budgets.org_id, key.orgId),
          eq(budgets.hard, sql`true`),
          or(eq(budgets.subject_kind, 'org'), and(eq(budgets.subject_kind, 'key'), eq(budgets.subject_id, key.id))),
        ),
      )
      .orderBy(budgets.id),
  ])
  const body: Omit<Policy, 'version'> = {
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

/** Equal contents have an equal version, whichever isolate compiled them. */
async function versionOf(body: Omit<Policy, 'version'>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(body)))
  return Buffer.from(digest).toString('base64url').slice(0, 16)
}
