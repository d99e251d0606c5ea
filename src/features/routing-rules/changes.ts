import { and, eq, lte, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound, unfit } from '../../core/errors.ts'
import { inputError } from '../../http/input-errors.ts'
import { mergePatch } from '../../http/merge-patch.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { isLive, type PolicyRow, readPolicy, readVersion, viewOf } from './rows.ts'
import { rulesOf, saysSame } from './rules.ts'
import { type PatchPolicy, PolicyBody } from './schema.ts'
import { attachedTo, isRivalOf, tellOf } from './subject.ts'
import { type RoutingRules, routingPolicies, routingPolicyVersions } from './table.ts'

const MAX_POLICIES = 100
/** Each of the callers that a policy governs carries its rules, in Redis and in every isolate. */
const MAX_RULES_BYTES = 32_768

const DUPLICATE = '23505'
/** States of `require`: a policy is gone, there are too many, one has changed meanwhile, or its place is taken. */
const GONE = 'HX404'
const FULL = 'HX409'
const MOVED = 'HX412'
const TAKEN = 'HX413'

/** It holds from the next call on. Throws 422, and 409 for a name or a subject that has one, or beyond a hundred. */
export async function createPolicy(ctx: Ctx, body: PolicyBody): Promise<PolicyRow> {
  const { orgId } = ctx.caller
  const now = nowSeconds(ctx)
  const row: PolicyRow = {
    ...(await attachedTo(ctx, body.attach)),
    id: ctx.newId('rpl'),
    org_id: orgId,
    name: body.name,
    rules: brief(rulesOf(body, ctx.newId('exp'))),
    version: 1,
    deleted_at: null,
    created_at: now,
    updated_at: now,
  }
  const note = await noteOf(ctx, 'routing_policy.create', { after: row })
  const all = sql`(select count(*) from ${routingPolicies} where ${isLive(orgId)})`
  await refusing(ctx, row, (query) => [
    queues(query, orgId),
    ...standsAlone(query, row),
    query.insert(routingPolicies).values(row),
    query.insert(routingPolicyVersions).values(versionOf(ctx, row)),
    require(query, lte(all, MAX_POLICIES), FULL),
    query.insert(auditLog).values(note),
  ])
  await tellOf(ctx, [row])
  return row
}

/** Fields that are left out get their defaults. Throws 404, 409 and 422. */
export async function replacePolicy(ctx: Ctx, id: string, body: PolicyBody): Promise<PolicyRow> {
  return become(ctx, await readPolicy(ctx, id), body)
}

/** What is absent stays, and null takes away (RFC 7396). Throws 404, 409 and 422. */
export async function patchPolicy(ctx: Ctx, id: string, patch: PatchPolicy): Promise<PolicyRow> {
  const before = await readPolicy(ctx, id)
  const { name, attach, strategy, targets, fallbacks, caps, default_model, cache, bandit, experiment } = viewOf(before)
  const now = { name, attach, strategy, targets, fallbacks, caps, default_model, cache, bandit, experiment }
  const merged = PolicyBody.safeParse(mergePatch(now, patch))
  if (!merged.success) throw inputError({ place: 'body', issues: merged.error.issues }, 'problem')
  return become(ctx, before, merged.data)
}

/** Another version with the rules of an earlier one. Throws 404, 409, and 422 for a version that there never was. */
export async function rollBack(ctx: Ctx, id: string, version: number): Promise<PolicyRow> {
  const before = await readPolicy(ctx, id)
  const earlier = await readVersion(ctx, id, version)
  if (!earlier) throw unfit('version', 'is not a version of this policy')
  const after = { ...before, rules: earlier.rules, version: before.version + 1, updated_at: nowSeconds(ctx) }
  return change(ctx, { before, after, action: 'routing_policy.rollback', details: { from_version: version } })
}

/** The row and its versions stay for the decisions that name them; nobody's calls go by it any more. Throws 404. */
export async function deletePolicy(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readPolicy(ctx, id)
  const now = nowSeconds(ctx)
  const note = await noteOf(ctx, 'routing_policy.delete', { before })
  await refusing(ctx, before, (query) => [
    stands(query, orgId, id),
    query.update(routingPolicies).set({ deleted_at: now, updated_at: now }).where(isLive(orgId, id)),
    query.insert(auditLog).values(note),
  ])
  await tellOf(ctx, [before])
}

async function become(ctx: Ctx, before: PolicyRow, body: PolicyBody): Promise<PolicyRow> {
  const told = viewOf(before).attach
  const stays = told?.kind === body.attach?.kind && told?.id === (body.attach?.id ?? ctx.caller.orgId)
  const { attach_kind, attach_id } = stays || (!told && !body.attach) ? before : await attachedTo(ctx, body.attach)
  const rules = brief(rulesOf(body, before.rules.experiment?.id ?? ctx.newId('exp')))
  const says = saysSame(before.rules, rules)
  const version = before.version + (says ? 0 : 1)
  const after = { ...before, name: body.name, attach_kind, attach_id, rules, version, updated_at: nowSeconds(ctx) }
  const isSame =
    says && after.name === before.name && attach_kind === before.attach_kind && attach_id === before.attach_id
  return isSame ? before : change(ctx, { before, after, action: 'routing_policy.update' })
}

type Change = { before: PolicyRow; after: PolicyRow; action: string; details?: Readonly<Record<string, unknown>> }

async function change(ctx: Ctx, { before, after, action, details }: Change): Promise<PolicyRow> {
  const { org_id, id, name, attach_kind, attach_id, rules, version, updated_at } = after
  const note = await noteOf(ctx, action, { before, after, details })
  const isNew = version !== before.version
  await refusing(ctx, after, (query) => [
    queues(query, org_id),
    stands(query, org_id, id),
    isStill(query, before),
    ...standsAlone(query, after),
    query
      .update(routingPolicies)
      .set({ name, attach_kind, attach_id, rules, version, updated_at })
      .where(isLive(org_id, id)),
    ...(isNew ? [query.insert(routingPolicyVersions).values(versionOf(ctx, after))] : []),
    query.insert(auditLog).values(note),
  ])
  await tellOf(ctx, [before, after])
  return after
}

function brief(rules: RoutingRules): RoutingRules {
  if (Buffer.byteLength(JSON.stringify(rules)) <= MAX_RULES_BYTES) return rules
  throw unfit('fallbacks', `and the rest of the rules are longer than ${MAX_RULES_BYTES} bytes together`)
}

const versionOf = (ctx: Ctx, { id, org_id, version, rules, updated_at }: PolicyRow) => ({
  policy_id: id,
  org_id,
  version,
  rules,
  created_by: actorOf(ctx.caller).id,
  created_at: updated_at,
})

const require = (query: QueryBuilder, held: SQL, state: string) => query.execute(sql`select require(${held}, ${state})`)

/** Whoever changes policies waits for others who do, so that each sees what the others left. */
const queues = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

const stands = (query: QueryBuilder, orgId: string, id: string) =>
  require(query, sql`exists(select from ${routingPolicies} where ${isLive(orgId, id)} for update)`, GONE)

/** Ends the transaction when the policy is no longer what the change was made of. */
function isStill(query: QueryBuilder, { org_id, id, name, version, attach_kind, attach_id }: PolicyRow) {
  const isSame = and(
    isLive(org_id, id),
    eq(routingPolicies.name, name),
    eq(routingPolicies.version, version),
    sql`${routingPolicies.attach_kind} is not distinct from ${attach_kind}`,
    sql`${routingPolicies.attach_id} is not distinct from ${attach_id}`,
  )
  return require(query, sql`exists(select from ${routingPolicies} where ${isSame})`, MOVED)
}

/** Ends the transaction when another policy governs the same calls. */
function standsAlone(query: QueryBuilder, row: PolicyRow) {
  const isRival = isRivalOf(row)
  return isRival ? [require(query, sql`not exists(select from ${routingPolicies} where ${isRival})`, TAKEN)] : []
}

type Facts = {
  before?: PolicyRow
  after?: PolicyRow
  details?: Readonly<Record<string, unknown>> | undefined
}

function noteOf(ctx: Ctx, action: string, { before, after, details }: Facts) {
  const row = after ?? before
  const { name, version, attach_kind, attach_id } = row ?? {}
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: row && { kind: 'routing_policy', id: row.id },
    before: before && viewOf(before),
    after: after && viewOf(after),
    details: { name, version, attach_kind, attach_id, strategy: row?.rules.strategy, ...details },
  })
}

type Build = Parameters<Ctx['db']['atomically']>[1]

async function refusing(ctx: Ctx, row: PolicyRow, build: Build): Promise<void> {
  try {
    await ctx.db.atomically(row.org_id, build)
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === GONE) throw notFound('routing policy')
    if (state === FULL) throw new AppError('conflict', `An organisation has at most ${MAX_POLICIES} routing policies.`)
    if (state === MOVED) throw new AppError('conflict', 'The policy was changed at the same time: look, and try again.')
    if (state === TAKEN) throw await taken(ctx, row)
    if (state === DUPLICATE)
      throw new AppError('conflict', 'There is a policy of this name already.', { param: 'name' })
    throw error
  }
}

async function taken(ctx: Ctx, row: PolicyRow): Promise<AppError> {
  const [rows] = await ctx.db.atomically(row.org_id, (query) => [
    query.select({ id: routingPolicies.id, name: routingPolicies.name }).from(routingPolicies).where(isRivalOf(row)),
  ])
  const [rival] = rows
  const message = `These calls go by the policy '${rival?.name ?? 'of another name'}' already.`
  return new AppError('conflict', message, { param: 'attach', details: { policy_id: rival?.id } })
}
