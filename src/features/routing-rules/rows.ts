import { and, asc, desc, eq, gt, isNull, lt } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { viewOfRules } from './rules.ts'
import type { PoliciesQuery, PolicyView, VersionView } from './schema.ts'
import { routingPolicies, routingPolicyVersions as versions } from './table.ts'

export type PolicyRow = typeof routingPolicies.$inferSelect
export type VersionRow = typeof versions.$inferSelect

/** Policies of an organisation that were not deleted; one of them by its id. */
export const isLive = (orgId: string, id?: string) =>
  and(
    eq(routingPolicies.org_id, orgId),
    isNull(routingPolicies.deleted_at),
    id === undefined ? undefined : eq(routingPolicies.id, id),
  )

export function viewOf({ id, name, version, attach_kind, attach_id, rules, ...row }: PolicyRow): PolicyView {
  const { created_at, updated_at } = row
  const attach = attach_kind === null || attach_id === null ? null : { kind: attach_kind, id: attach_id }
  return { id, object: 'routing_policy', name, version, attach, ...viewOfRules(rules), created_at, updated_at }
}

export const versionView = ({ policy_id, version, rules, created_by, created_at }: VersionRow): VersionView => ({
  id: `${policy_id}@${version}`,
  object: 'routing_policy_version',
  version,
  ...viewOfRules(rules),
  created_by,
  created_at,
})

/** One more than asked for. */
export async function listPolicies({ db, caller: { orgId } }: Ctx, query: PoliciesQuery): Promise<PolicyRow[]> {
  const { limit, after, order } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(routingPolicies)
      .where(and(isLive(orgId), after === undefined ? undefined : isNext(routingPolicies.id, after)))
      .orderBy((order === 'asc' ? asc : desc)(routingPolicies.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readPolicy(
  { db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>,
  id: string,
): Promise<PolicyRow> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(routingPolicies).where(isLive(orgId, id))])
  if (!row) throw notFound('routing policy')
  return row
}

/** One more than asked for. Throws 404. */
export async function listVersions(ctx: Ctx, id: string, query: PoliciesQuery): Promise<VersionRow[]> {
  const { orgId } = ctx.caller
  const { limit, after, order } = query
  await readPolicy(ctx, id)
  const from = after === undefined ? undefined : numberIn(after, id)
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await ctx.db.atomically(orgId, (builder) => [
    builder
      .select()
      .from(versions)
      .where(
        and(
          eq(versions.org_id, orgId),
          eq(versions.policy_id, id),
          from === undefined ? undefined : isNext(versions.version, from),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(versions.version))
      .limit(limit + 1),
  ])
  return rows
}

/** The number of a version in its id; 0 for what is no version of this policy, behind which there is nothing. */
function numberIn(after: string, id: string): number {
  const [policyId, version] = after.split('@')
  return policyId === id && /^\d{1,9}$/.test(version ?? '') ? Number(version) : 0
}

/** Undefined for a version that the policy never had. */
export async function readVersion(
  { db, caller: { orgId } }: Ctx,
  id: string,
  version: number,
): Promise<VersionRow | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(versions)
      .where(and(eq(versions.org_id, orgId), eq(versions.policy_id, id), eq(versions.version, version))),
  ])
  return row
}
