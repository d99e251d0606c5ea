import { and, asc, desc, eq, gt, isNull, lt, type SQL, sql } from 'drizzle-orm'
import type { Caller, Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { reaches } from '../../core/roles.ts'
import type { SecretsQuery, SecretView } from './schema.ts'
import { secrets } from './table.ts'

export type SecretRow = typeof secrets.$inferSelect

/** Where the value of a secret is sealed. */
export const placeOf = (orgId: string, id: string) => ({ orgId, table: 'secrets', column: 'value', rowId: id })

/** The row without its value, sealed as that is. */
export function viewOf({ value: _value, dek_version: _version, ...row }: SecretRow): SecretView {
  const { id, name, scope_kind, scope_id, description, version, is_active } = row
  const { last_used_at, created_at, updated_at } = row
  return {
    id,
    object: 'secret',
    name,
    scope_kind,
    scope_id,
    description,
    version,
    is_active,
    last_used_at,
    created_at,
    updated_at,
  }
}

/**
 * Whether a caller manages the secrets of the organisation: its administrators and owners, their keys, and keys that
 * belong to nobody. Everybody else has at most the secrets of agents of their own.
 */
export const managesAll = ({ userId, role }: Pick<Caller, 'userId' | 'role'>): boolean =>
  userId === undefined || reaches(role ?? 'readonly', 'admin')

const isLive = (orgId: string, id: string | undefined): SQL | undefined =>
  and(eq(secrets.org_id, orgId), isNull(secrets.deleted_at), id === undefined ? undefined : eq(secrets.id, id))

/** The secrets that the caller manages and that were not deleted; one of them by its id. */
export const isVisible = ({ caller }: Pick<Ctx, 'caller'>, id?: string): SQL | undefined =>
  and(isLive(caller.orgId, id), managesAll(caller) ? undefined : sql`false`)

/** A secret of the caller's organisation, whoever manages it. Throws 404. */
export async function readOfOrg({ db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>, id: string): Promise<SecretRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(secrets).where(isLive(orgId, id))])
  if (!row) throw notFound('secret')
  return row
}

/** Throws 404, also for a secret that the caller does not manage. */
export async function readSecret(ctx: Pick<Ctx, 'db' | 'caller'>, id: string): Promise<SecretRow> {
  if (!managesAll(ctx.caller)) throw notFound('secret')
  return readOfOrg(ctx, id)
}

/** One row more than asked for, if there is one. */
export async function listSecrets(ctx: Ctx, given: SecretsQuery): Promise<SecretRow[]> {
  const { limit, after, order, scope_kind, search } = given
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .select()
      .from(secrets)
      .where(
        and(
          isVisible(ctx),
          scope_kind === undefined ? undefined : eq(secrets.scope_kind, scope_kind),
          search === undefined ? undefined : sql`strpos(lower(${secrets.name}), lower(${search})) > 0`,
          after === undefined ? undefined : isNext(secrets.id, after),
        ),
      )
      .orderBy(order === 'asc' ? asc(secrets.id) : desc(secrets.id))
      .limit(limit + 1),
  ])
  return rows
}
