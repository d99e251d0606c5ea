import { and, asc, eq, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Policy } from '../../core/admission.ts'
import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { narrow } from '../../core/roles.ts'
import { budgetsOf } from '../budgets/service.ts'
import { budgets } from '../budgets/table.ts'
import { dataKeys } from '../encryption/table.ts'
import { EnsembleOptions } from '../ensembles/service.ts'
import { ensembleConfigs } from '../ensembles/table.ts'
import type { KeyRecord } from '../keys/service.ts'
import { apiKeys } from '../keys/table.ts'
import { compileLimits } from '../limits/service.ts'
import { limits } from '../limits/table.ts'
import { nodeSpecOf } from '../nodes/service.ts'
import { nodes } from '../nodes/table.ts'
import { accountsOf } from '../providers/service.ts'
import { providerCredentials, providers } from '../providers/table.ts'
import { routingOf, rulesQueries } from '../routing-rules/service.ts'
import { type SessionRecord, scopesOfSession } from '../sessions/service.ts'
import { namesSubject } from '../subjects/service.ts'

/** Whom a policy is compiled for: an API key, or the session of a person. */
export type Subject = KeyRecord | SessionRecord

/** How exactly a key's last use is known: writing it each time would only cost. */
const USE_STEP_SECONDS = 300

/**
 * Everything that governs a key or a session, compiled from its own rules, its person's and its organisation's. That a policy is
 * wanted means that its key is in use, which is noted on the way. Throws `DependencyError('postgres')`.
 */
export async function compilePolicy({ db, now }: Pick<Deps, 'db' | 'now'>, subject: Subject): Promise<Policy> {
  const { orgId } = subject
  const nowSeconds = secondsOf(now())
  const [rules, caps, [key], own, credentials, machines, wrapped, routing, marks, judged, [ensemble]] =
    await db.atomically(orgId, (query) => [
      query
        .select()
        .from(limits)
        .where(
          and(
            eq(limits.org_id, orgId),
            or(
              eq(limits.subject_kind, 'provider'),
              and(eq(limits.subject_kind, 'org'), eq(limits.subject_id, orgId)),
              binds(limits, subject),
            ),
          ),
        )
        .orderBy(limits.id),
      query
        .select()
        .from(budgets)
        .where(
          and(
            eq(budgets.org_id, orgId),
            isNull(budgets.deleted_at),
            or(
              inArray(budgets.subject_kind, ['org', 'model']),
              binds(budgets, subject),
              and(eq(budgets.subject_kind, 'agent'), sql`${budgets.subject_id} = (${agentOf(subject)})`),
            ),
          ),
        )
        .orderBy(budgets.id),
      query.select({ agentId: apiKeys.agent_id }).from(apiKeys).where(isKey(subject)),
      ...accountQueries(query, orgId),
      ...rulesQueries(query, { orgId, id: subject.id, agentOf: agentOf(subject), nowSeconds }),
      query.select({ config: ensembleConfigs.config }).from(ensembleConfigs).where(eq(ensembleConfigs.org_id, orgId)),
      query
        .update(apiKeys)
        .set({ last_used_at: nowSeconds })
        .where(
          and(
            isKey(subject),
            or(isNull(apiKeys.last_used_at), lt(apiKeys.last_used_at, nowSeconds - USE_STEP_SECONDS)),
          ),
        ),
    ])
  const whose = 'audience' in subject ? ofSession(subject) : ofKey(subject, key?.agentId ?? undefined)
  const accounts = accountsOf(whose, {
    providers: own,
    credentials,
    nodes: machines.map((row) => ({ spec: nodeSpecOf(row), priority: row.priority, dekVersion: row.dek_version })),
    dataKeys: wrapped,
  })
  const body: Omit<Policy, 'version'> = {
    ...whose,
    limits: compileLimits(rules),
    ...budgetsOf(caps),
    ...(accounts && { accounts }),
    ...routingOf(routing, marks, judged),
    ...ensembleOf(ensemble?.config),
  }
  return { ...body, version: await versionOf(body) }
}

/** None for a configuration that another release has written and this one does not understand. */
function ensembleOf(config: unknown): Pick<Policy, 'ensemble'> {
  const { data } = EnsembleOptions.safeParse(config)
  return data ? { ensemble: data } : {}
}

/** The organisation's own accounts and nodes in use, their credentials, and the data keys that those are sealed with. */
const accountQueries = (query: QueryBuilder, orgId: string) =>
  [
    query
      .select()
      .from(providers)
      .where(and(eq(providers.org_id, orgId), isNull(providers.deleted_at), eq(providers.enabled, true))),
    query
      .select()
      .from(providerCredentials)
      .where(and(eq(providerCredentials.org_id, orgId), eq(providerCredentials.is_active, true)))
      .orderBy(asc(providerCredentials.id)),
    query
      .select()
      .from(nodes)
      .where(and(eq(nodes.org_id, orgId), isNull(nodes.deleted_at), eq(nodes.enabled, true))),
    query
      .select({ version: dataKeys.version, wrapped_dek: dataKeys.wrapped_dek })
      .from(dataKeys)
      .where(and(eq(dataKeys.org_id, orgId), sql`${dataKeys.version} in (${versionsInUse(orgId)})`))
      .orderBy(dataKeys.version),
  ] as const

/** Under a rotation the credentials of one organisation are sealed with several data keys. */
const versionsInUse = (orgId: string): SQL =>
  sql`select c.dek_version from ${providerCredentials} c where c.org_id = ${orgId} and c.is_active
    union select n.dek_version from ${nodes} n where n.org_id = ${orgId} and n.enabled and n.deleted_at is null`

type Rules = { subject_kind: PgColumn; subject_id: PgColumn }

/** Rules of a key or of one that it replaced or that replaced it, and those of the person behind it. */
function binds({ subject_kind, subject_id }: Rules, { orgId, id, userId }: Subject): SQL | undefined {
  return or(
    and(eq(subject_kind, 'key'), namesSubject(subject_id, orgId, id)),
    userId === undefined ? undefined : and(eq(subject_kind, 'user'), eq(subject_id, userId)),
  )
}

const isKey = ({ orgId, id }: Subject) => and(eq(apiKeys.org_id, orgId), eq(apiKeys.id, id))

const agentOf = ({ orgId, id }: Subject): SQL =>
  sql`select k.agent_id from ${apiKeys} k where k.org_id = ${orgId} and k.id = ${id}`

type Own = Omit<
  Policy,
  'version' | 'limits' | 'budgets' | 'watched' | 'accounts' | 'routing' | 'marks' | 'marked' | 'ensemble'
>

const ofKey = (key: KeyRecord, agentId: string | undefined): Own => ({
  orgId: key.orgId,
  keyId: key.id,
  kind: 'api_key',
  userId: key.userId,
  agentId,
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
