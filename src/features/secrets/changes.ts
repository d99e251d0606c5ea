import { and, eq, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { keyVersionOf, seal } from '../encryption/service.ts'
import { isVisible, managesAll, placeOf, readSecret, type SecretRow, viewOf } from './rows.ts'
import type { CreateSecret, ReplaceSecret } from './schema.ts'
import { secrets } from './table.ts'

const DUPLICATE = '23505'
/** The state of `require` for a secret that is not what it was when it was read. */
const CHANGED = 'HX409'

/** Throws 403 for whom the secret would not be theirs to manage, and 409 for a name that is taken. */
export async function createSecret(ctx: Ctx, wanted: CreateSecret): Promise<SecretRow> {
  const { orgId } = ctx.caller
  if (!managesAll(ctx.caller)) {
    throw new AppError('permission_denied', 'Only administrators and owners make secrets that are not of their agents.')
  }
  const { name, scope_kind, scope_id = orgId, description } = wanted
  const id = ctx.newId('sec')
  const now = nowSeconds(ctx)
  const row: SecretRow = {
    ...(await sealed(ctx, id, wanted.value)),
    id,
    org_id: orgId,
    name,
    scope_kind,
    scope_id,
    description,
    version: 1,
    is_active: true,
    last_used_at: null,
    deleted_at: null,
    created_at: now,
    updated_at: now,
  }
  const note = await noteOf(ctx, { action: 'secret.create', after: row })
  try {
    await ctx.db.atomically(orgId, (query) => [query.insert(secrets).values(row), query.insert(auditLog).values(note)])
  } catch (error) {
    if (sqlStateOf(error) !== DUPLICATE) throw error
    throw new AppError('conflict', 'There is a secret of this name already.', { param: 'name' })
  }
  return row
}

/** Throws 404, and 409 when somebody else changes it in the same moment. */
export async function replaceSecret(ctx: Ctx, id: string, wanted: ReplaceSecret): Promise<SecretRow> {
  const before = await readSecret(ctx, id)
  const { value, description = null } = wanted
  const changes = {
    ...(value !== undefined && (await sealed(ctx, id, value))),
    description,
    version: before.version + 1,
    updated_at: nowSeconds(ctx),
  }
  const after = { ...before, ...changes }
  const details = { value: value !== undefined }
  const note = await noteOf(ctx, { action: 'secret.update', before, after, details })
  await unlessChanged(
    ctx,
    id,
    ctx.db.atomically(ctx.caller.orgId, (query) => [
      requireSame(query, ctx, before),
      query.update(secrets).set(changes).where(isVisible(ctx, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  return after
}

/** The row stays for the audit log to refer to; what it held does not. Throws 404 and 409. */
export async function deleteSecret(ctx: Ctx, id: string): Promise<void> {
  const before = await readSecret(ctx, id)
  const now = nowSeconds(ctx)
  const changes = { value: '', is_active: false, deleted_at: now, updated_at: now }
  const note = await noteOf(ctx, { action: 'secret.delete', before })
  await unlessChanged(
    ctx,
    id,
    ctx.db.atomically(ctx.caller.orgId, (query) => [
      requireSame(query, ctx, before),
      query.update(secrets).set(changes).where(isVisible(ctx, id)),
      query.insert(auditLog).values(note),
    ]),
  )
}

async function sealed(ctx: Ctx, id: string, plaintext: string): Promise<Pick<SecretRow, 'value' | 'dek_version'>> {
  const value = await seal(ctx, placeOf(ctx.caller.orgId, id), plaintext)
  return { value, dek_version: keyVersionOf(value) }
}

type Act = { action: string; before?: SecretRow; after?: SecretRow; details?: Readonly<Record<string, unknown>> }

/** Hashes of what is shown only: that of a value could be compared with those of guesses. */
export function noteOf(ctx: Ctx, { action, before, after, details }: Act) {
  const row = after ?? before
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: row && { kind: 'secret', id: row.id },
    before: before && viewOf(before),
    after: after && viewOf(after),
    details: { name: row?.name, version: row?.version, ...details },
  })
}

/** Ends the transaction unless the secret is as it was read, and keeps it so until the end. */
export function requireSame(query: QueryBuilder, ctx: Ctx, { id, version }: SecretRow) {
  const isSame = and(isVisible(ctx, id), eq(secrets.version, version))
  return query.execute(sql`select require(exists(select from ${secrets} where ${isSame} for update), ${CHANGED})`)
}

/** What a transaction with `requireSame` gives. Throws 404 for a secret that is gone by now, and 409 for a newer one. */
export async function unlessChanged<T>(ctx: Ctx, id: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (sqlStateOf(error) !== CHANGED) throw error
    await readSecret(ctx, id)
    throw new AppError('conflict', 'The secret was changed in this moment. Try again.')
  }
}
