import { and, asc, desc, eq, gt, inArray, isNull, lt } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { providerCredentials as credentials, providers } from '../providers/table.ts'
import type { CredentialView, ProvidersQuery, ProviderView } from './schema.ts'

export type ProviderRow = typeof providers.$inferSelect
export type CredentialRow = typeof credentials.$inferSelect
/** A provider with its credentials, in the order in which they are tried. */
export type Whole = { row: ProviderRow; credentials: CredentialRow[] }

/** Providers of an organisation that were not deleted; one of them by its id. */
export const isLive = (orgId: string, id?: string) =>
  and(eq(providers.org_id, orgId), isNull(providers.deleted_at), id === undefined ? undefined : eq(providers.id, id))

export const isCredential = (orgId: string, providerId: string, id?: string) =>
  and(
    eq(credentials.org_id, orgId),
    eq(credentials.provider_id, providerId),
    id === undefined ? undefined : eq(credentials.id, id),
  )

export const credentialView = ({ id, label, last4, is_active, cooldown_until }: CredentialRow): CredentialView => ({
  id,
  label,
  last4,
  is_active,
  cooldown_until,
})

export function viewOf({ row, credentials: own }: Whole): ProviderView {
  const { org_id: _org, deleted_at: _deleted, models, ...shown } = row
  return {
    ...shown,
    object: 'provider',
    models: models.map(({ price_id: _id, capabilities, ...model }) => ({
      ...model,
      ...(capabilities && { capabilities: [...capabilities] }),
    })),
    credentials: own.map(credentialView),
  }
}

/** Throws 404. */
export async function readProvider({ db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>, id: string): Promise<Whole> {
  const [[row], own] = await db.atomically(orgId, (query) => [
    query.select().from(providers).where(isLive(orgId, id)),
    query.select().from(credentials).where(isCredential(orgId, id)).orderBy(asc(credentials.id)),
  ])
  if (!row) throw notFound('provider')
  return { row, credentials: own }
}

/** One more than asked for. */
export async function listProviders({ db, caller: { orgId } }: Ctx, query: ProvidersQuery): Promise<Whole[]> {
  const { limit, after, order } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(providers)
      .where(and(isLive(orgId), after === undefined ? undefined : isNext(providers.id, after)))
      .orderBy((order === 'asc' ? asc : desc)(providers.id))
      .limit(limit + 1),
  ])
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const [own] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(credentials)
      .where(and(eq(credentials.org_id, orgId), inArray(credentials.provider_id, ids)))
      .orderBy(asc(credentials.id)),
  ])
  return rows.map((row) => ({ row, credentials: own.filter(({ provider_id }) => provider_id === row.id) }))
}
