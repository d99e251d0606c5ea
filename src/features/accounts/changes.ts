import { eq, isNull, lte, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound, unfit } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { nodes } from '../nodes/table.ts'
import { queueFor, requireThat } from '../orgs/service.ts'
import { figuresOf, withPriceId } from '../providers/service.ts'
import { providerCredentials as credentials, ownPrices, providers } from '../providers/table.ts'
import { markSubject } from '../subjects/service.ts'
import { isCredential, isLive, type ProviderRow, readProvider, viewOf, type Whole } from './rows.ts'
import { checkProvider, type Described } from './rules.ts'
import { type PatchProvider, ProviderBody } from './schema.ts'

const MAX_PROVIDERS = 20
/** Of all of an organisation together: each of its callers' policies carries them, in Redis and in every isolate. */
const MAX_DESCRIBED_BYTES = 65_536

const DUPLICATE = '23505'
/** States of `requireThat`: a row is gone, there are too many, they say too much, or one has moved meanwhile. */
const GONE = 'HX404'
const FULL = 'HX409'
const VERBOSE = 'HX413'
const MOVED = 'HX412'
/** A node has the name. */
const TAKEN = 'HX410'

/** Calls know it from the next one on. Throws 422, and 409 for a name that is taken or beyond twenty. */
export async function createProvider(ctx: Ctx, body: ProviderBody): Promise<Whole> {
  const { orgId } = ctx.caller
  const id = ctx.newId('prv')
  const now = nowSeconds(ctx)
  const described = await priced(id, checkProvider(ctx, body))
  const row: ProviderRow = { ...described, id, org_id: orgId, deleted_at: null, created_at: now, updated_at: now }
  const whole = { row, credentials: [] }
  const note = await noteOf(ctx, 'provider.create', { after: whole })
  const all = sql`(select count(*) from ${providers} where ${isLive(orgId)})`
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      query.insert(providers).values(row),
      isNoNode(query, row),
      requireThat(query, lte(all, MAX_PROVIDERS), FULL),
      staysBrief(query, orgId),
      ...pricesOf(query, row),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
  return whole
}

/** Fields that are left out get their defaults. Throws 404, 409 and 422. */
export async function replaceProvider(ctx: Ctx, id: string, body: ProviderBody): Promise<Whole> {
  return change(ctx, await readProvider(ctx, id), checkProvider(ctx, body))
}

/** What is absent stays as it is. Throws 404, 409 and 422. */
export async function patchProvider(ctx: Ctx, id: string, patch: PatchProvider): Promise<Whole> {
  const before = await readProvider(ctx, id)
  if (Object.keys(patch).length === 0) return before
  const { name, kind, base_url, vendor, models, enabled, priority, weight, quirks, region, ...rest } = viewOf(before)
  const { timeout_ms, connect_timeout_ms, max_retries, max_concurrency } = rest
  const now = { name, kind, base_url, vendor, models, enabled, priority, weight, quirks, region }
  const merged = ProviderBody.parse({ ...now, timeout_ms, connect_timeout_ms, max_retries, max_concurrency, ...patch })
  return change(ctx, before, checkProvider(ctx, merged))
}

/** The row stays for what refers to it; its credentials do not. No call reaches it any more. Throws 404. */
export async function deleteProvider(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readProvider(ctx, id)
  const now = nowSeconds(ctx)
  const note = await noteOf(ctx, 'provider.delete', { before })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, id),
      query.delete(credentials).where(isCredential(orgId, id)),
      query.update(providers).set({ deleted_at: now, enabled: false, updated_at: now }).where(isLive(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
}

async function change(ctx: Ctx, before: Whole, described: Described): Promise<Whole> {
  const { orgId } = ctx.caller
  const { id } = before.row
  const changes = { ...(await priced(id, described)), updated_at: nowSeconds(ctx) }
  const row: ProviderRow = { ...before.row, ...changes }
  // Keys are write-only: whoever may change where a provider is must not thereby have them sent to themselves.
  const movesAway = placeOf(row) !== placeOf(before.row)
  const after = { row, credentials: movesAway ? [] : before.credentials }
  const note = await noteOf(ctx, 'provider.update', { before, after })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      stands(query, orgId, id),
      staysAt(query, before.row),
      query.update(providers).set(changes).where(isLive(orgId, id)),
      isNoNode(query, row),
      ...(movesAway ? [query.delete(credentials).where(isCredential(orgId, id))] : []),
      staysBrief(query, orgId),
      ...pricesOf(query, row),
      query.insert(auditLog).values(note),
    ]),
  )
  await markAccounts(ctx)
  return after
}

/** Many share a host: what is behind another path of it may be somebody else's. */
function placeOf({ base_url }: Pick<ProviderRow, 'base_url'>): string {
  const { origin, pathname } = new URL(base_url)
  return origin + pathname.replace(/\/+$/, '')
}

const priced = async (id: string, described: Described): Promise<Described> => ({
  ...described,
  models: await Promise.all(described.models.map((model) => withPriceId(id, model))),
})

/** Ledger rows keep the id of a price: whatever a provider ever cost stays on record. */
function pricesOf(query: QueryBuilder, { id, org_id, models, updated_at }: ProviderRow) {
  const rows = models.flatMap((model) => {
    const base = figuresOf(model)
    if (!base || model.price_id === undefined) return []
    const figures = { base, tiers: [] }
    return [{ id: model.price_id, org_id, provider_id: id, model: model.name, figures, created_at: updated_at }]
  })
  return rows.length === 0 ? [] : [query.insert(ownPrices).values(rows).onConflictDoNothing()]
}

/** Has the next call of everybody in the organisation know of a change. */
export const markAccounts = (ctx: Ctx): Promise<void> =>
  markSubject(ctx, { subject_kind: 'org', subject_id: ctx.caller.orgId })

/** Ends the transaction unless the provider is still there, and keeps it so until the end. */
export const stands = (query: QueryBuilder, orgId: string, id: string) =>
  requireThat(query, sql`exists(select from ${providers} where ${isLive(orgId, id)} for update)`, GONE)

/** Ends the transaction when the provider is no longer where it was: keys are given, and kept, for that place only. */
export const staysAt = (query: QueryBuilder, { org_id, id, base_url }: ProviderRow) =>
  requireThat(
    query,
    sql`exists(select from ${providers} where ${isLive(org_id, id)} and ${eq(providers.base_url, base_url)})`,
    MOVED,
  )

const staysBrief = (query: QueryBuilder, orgId: string) => {
  const { models, quirks } = providers
  const bytes = sql`sum(octet_length(${models}::text) + octet_length(${quirks}::text))`
  return requireThat(
    query,
    lte(sql`(select ${bytes} from ${providers} where ${isLive(orgId)})`, MAX_DESCRIBED_BYTES),
    VERBOSE,
  )
}

/** Calls name both alike: `name/model`. */
const isNoNode = (query: QueryBuilder, { org_id, name }: Pick<ProviderRow, 'org_id' | 'name'>) =>
  requireThat(
    query,
    sql`not exists(select from ${nodes} where ${eq(nodes.org_id, org_id)} and ${eq(nodes.name, name)} and ${isNull(nodes.deleted_at)})`,
    TAKEN,
  )

/** Ends the transaction when it leaves more of something than there may be. */
export const requireAtMost = (query: QueryBuilder, count: SQL, most: number) =>
  requireThat(query, lte(count, most), FULL)

type Facts = { before?: Whole; after?: Whole; details?: Readonly<Record<string, unknown>> }

/** Views hold no key, so neither do their hashes. */
export function noteOf(ctx: Ctx, action: string, { before, after, details }: Facts) {
  const whole = after ?? before
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: whole && { kind: 'provider', id: whole.row.id },
    before: before && viewOf(before),
    after: after && viewOf(after),
    details: { name: whole?.row.name, kind: whole?.row.kind, ...details },
  })
}

const FULL_MESSAGE = `An organisation has at most ${MAX_PROVIDERS} providers, and each of them at most five credentials.`

export async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === GONE) throw notFound('provider')
    if (state === FULL) throw new AppError('conflict', FULL_MESSAGE)
    if (state === VERBOSE) throw unfit('models', 'say too much, those of all providers together')
    if (state === MOVED) throw new AppError('conflict', 'The provider was moved at the same time: look, and try again.')
    if (state === DUPLICATE || state === TAKEN)
      throw new AppError('conflict', 'There is one of this name already.', { param: 'name' })
    throw error
  }
}
