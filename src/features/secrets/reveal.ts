import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { open, renew } from '../encryption/service.ts'
import { noteOf, requireSame, unlessChanged } from './changes.ts'
import { isVisible, managesAll, placeOf, readOfOrg } from './rows.ts'
import { secrets } from './table.ts'

/**
 * The value of a secret, once it stands in the audit log who reads it and why. Throws 403 for anybody but a signed-in
 * administrator or owner, 404, 409, 429 beyond ten tries in an hour, and `DependencyError` when the limit cannot be
 * asked or the log cannot be written.
 */
export async function revealSecret(ctx: Ctx, id: string, reason: string): Promise<string> {
  const { orgId, kind } = ctx.caller
  await takeReveal(ctx)
  const row = await readOfOrg(ctx, id)
  if (kind !== 'user' || !managesAll(ctx.caller)) throw await denied(ctx, id)
  const place = placeOf(orgId, id)
  const value = await open(ctx, place, row.value)
  const note = await noteOf(ctx, { action: 'secret.reveal', before: row, details: { reason } })
  await unlessChanged(
    ctx,
    id,
    ctx.db.atomically(orgId, (query) => [
      requireSame(query, ctx, row),
      query
        .update(secrets)
        .set({ last_used_at: nowSeconds(ctx) })
        .where(isVisible(ctx, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  ctx.defer(renew(ctx, place, { sealed: row.value, plaintext: value }))
  return value
}

/** Tries that are refused count, too: each of them is a row of the audit log. */
function takeReveal(ctx: Ctx): Promise<void> {
  const subject = `${ctx.caller.orgId}:${ctx.caller.userId ?? ctx.caller.keyId}`
  const message = 'Too many secrets were revealed in a short time.'
  return takeOrRefuse(ctx, 'reveals_per_caller', { subject, message })
}

async function denied(ctx: Ctx, id: string): Promise<AppError> {
  const { orgId } = ctx.caller
  const note = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'access.denied',
    target: { kind: 'secret', id },
    details: { path: '/api/v1/secrets/:id/reveal' },
  })
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(note)])
  return new AppError(
    'permission_denied',
    'Only an administrator or owner who is signed in sees the value of a secret.',
  )
}
