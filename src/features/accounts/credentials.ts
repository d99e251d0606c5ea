import { sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { auditLog } from '../audit/service.ts'
import { keyVersionOf, seal } from '../encryption/service.ts'
import { credentialPlace } from '../providers/service.ts'
import { providerCredentials as credentials } from '../providers/table.ts'
import { markAccounts, noteOf, refusing, requireAtMost, stands, staysAt } from './changes.ts'
import { type CredentialRow, isCredential, readProvider, type Whole } from './rows.ts'
import type { CreateCredential, PatchCredential } from './schema.ts'

const MAX_CREDENTIALS = 5
/** Of a shorter key the end would give too much away. */
const LEAST_SHOWN = 16

/** Throws 404, and 409 for a label that is taken or beyond five. */
export async function addCredential(
  ctx: Ctx,
  providerId: string,
  { label, key }: CreateCredential,
): Promise<CredentialRow> {
  const { orgId } = ctx.caller
  const whole = await readProvider(ctx, providerId)
  const id = ctx.newId('pcr')
  const now = nowSeconds(ctx)
  const secret = await seal(ctx, credentialPlace(orgId, id), key)
  const row: CredentialRow = {
    id,
    org_id: orgId,
    provider_id: providerId,
    label,
    secret,
    dek_version: keyVersionOf(secret),
    last4: key.length < LEAST_SHOWN ? '' : key.slice(-4),
    is_active: true,
    last_used_at: null,
    cooldown_until: null,
    created_at: now,
    updated_at: now,
  }
  const note = await noteOf(ctx, 'provider.credential_add', { before: whole, details: { credential_id: id, label } })
  const all = sql`(select count(*) from ${credentials} where ${isCredential(orgId, providerId)})`
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, providerId),
      staysAt(query, whole.row),
      query.insert(credentials).values(row),
      requireAtMost(query, all, MAX_CREDENTIALS),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
  return row
}

export type NamedCredential = { id: string; credential_id: string }

/** What is absent stays. One that is put to use again is tried again, whatever it was refused for. Throws 404 and 409. */
export async function patchCredential(
  ctx: Ctx,
  named: NamedCredential,
  { label, is_active }: PatchCredential,
): Promise<CredentialRow> {
  const { orgId } = ctx.caller
  const { whole, row } = await readCredential(ctx, named)
  const changes = {
    ...(label !== undefined && { label }),
    ...(is_active !== undefined && { is_active }),
    ...(is_active === true && { cooldown_until: null }),
    updated_at: nowSeconds(ctx),
  }
  const details = { credential_id: row.id, label: label ?? row.label, is_active: is_active ?? row.is_active }
  const note = await noteOf(ctx, 'provider.credential_update', { before: whole, details })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, named.id),
      query
        .update(credentials)
        .set(changes)
        .where(isCredential(orgId, named.id, row.id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
  return { ...row, ...changes }
}

/** Throws 404. */
export async function deleteCredential(ctx: Ctx, named: NamedCredential): Promise<void> {
  const { orgId } = ctx.caller
  const { whole, row } = await readCredential(ctx, named)
  const details = { credential_id: row.id, label: row.label }
  const note = await noteOf(ctx, 'provider.credential_delete', { before: whole, details })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, named.id),
      query.delete(credentials).where(isCredential(orgId, named.id, row.id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
}

async function readCredential(ctx: Ctx, named: NamedCredential): Promise<{ whole: Whole; row: CredentialRow }> {
  const whole = await readProvider(ctx, named.id)
  const row = whole.credentials.find(({ id }) => id === named.credential_id)
  if (!row) throw notFound('credential')
  return { whole, row }
}
