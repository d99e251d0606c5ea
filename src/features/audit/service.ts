import { secondsOf } from '../../core/clock.ts'
import type { Caller, Deps } from '../../core/context.ts'
import { auditLog } from './table.ts'

export type Actor = {
  kind: 'user' | 'api_key' | 'operator' | 'system' | 'anonymous'
  /** Null when nobody is known. */
  id: string | null
  ip: string | null
}

export type AuditEntry = {
  orgId: string
  actor: Actor
  /** `key.create`, `member.role`, `login`. */
  action: string
  target?: { kind: string; id: string } | undefined
  /** What was and what is: only their hashes are kept. */
  before?: unknown
  after?: unknown
  /** Facts that are safe to show. Never a secret. */
  details?: Readonly<Record<string, unknown>> | undefined
}

export type AuditRow = typeof auditLog.$inferInsert

export { auditLog }

/** The person behind a call, or its key when nobody stands behind that. */
export function actorOf({ kind, userId, keyId, ip }: Caller): Actor {
  if (kind === 'operator' || kind === 'user') return { kind, id: userId ?? keyId, ip }
  return { kind: 'api_key', id: keyId, ip }
}

/**
 * The row of an audited act, to be inserted in the transaction that does it: neither is written without the other. What
 * no request asked for has no `requestId`.
 * `query.insert(auditLog).values(await auditRow(ctx, entry))`
 */
export async function auditRow(
  { newId, now, requestId }: Pick<Deps, 'newId' | 'now'> & { requestId?: string },
  { orgId, actor, action, target, before, after, details }: AuditEntry,
): Promise<AuditRow> {
  return {
    id: newId('aud'),
    org_id: orgId,
    actor_kind: actor.kind,
    actor_id: actor.id,
    action,
    target_kind: target?.kind ?? null,
    target_id: target?.id ?? null,
    before_hash: await hashOf(before),
    after_hash: await hashOf(after),
    details: { ...details },
    ip: actor.ip,
    request_id: requestId ?? null,
    created_at: secondsOf(now()),
  }
}

async function hashOf(value: unknown): Promise<string | null> {
  if (value === undefined) return null
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(value)))
  return Buffer.from(digest).toString('hex')
}
