import { and, eq, exists, isNull, lte, notExists, type SQL, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { createKey, publicIdOf } from './format.ts'
import { endOf, endOfSuccessor, inherited, type Powers, refuseBeyond, scopesNow } from './reach.ts'
import { isLive, isVisible, type KeyRow, readKey, viewOf } from './rows.ts'
import type { CreateKey, PatchKey } from './schema.ts'
import { findKey, hashKey } from './service.ts'
import { apiKeys } from './table.ts'

const MAX_LIVE_KEYS = 100

/** A key as it was just made: the only moment at which its secret is known. */
export type MadeKey = { secret: string; row: KeyRow }

/** Throws 403 for powers beyond the caller's, 409 when there are too many keys, 422 for an impossible end, 429. */
export async function makeKey(ctx: Ctx, wanted: CreateKey): Promise<MadeKey> {
  const { orgId, userId } = ctx.caller
  const limits = inherited(ctx.admission)
  const powers = {
    scopes: wanted.scopes,
    mode: wanted.mode,
    allowed_ips: wanted.allowed_ips ?? limits.allowed_ips,
    allowed_models: wanted.allowed_models ?? limits.allowed_models,
    agent_id: wanted.agent_id ?? limits.agent_id,
  }
  refuseBeyond(ctx.admission, powers)
  const expires_at = endOf(wanted.expires_at, nowSeconds(ctx))
  await takeCreation(ctx)
  const { name } = wanted
  const made = await newKey(ctx, { ...powers, name, expires_at, user_id: userId ?? null, rotated_from: null })
  const note = await auditOf(ctx, 'key.create', made.row.id, { after: viewOf(made.row), details: { name } })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockKeys(query, orgId),
      query.insert(apiKeys).values(made.row),
      requireFew(query, made.row),
      query.insert(auditLog).values(note),
    ]),
  )
  return made
}

/** The key as it is now. Throws 403 for powers beyond the caller's, 404, and 409 for a key that is at its end. */
export async function patchKey(ctx: Ctx, id: string, patch: PatchKey): Promise<KeyRow> {
  const row = await readKey(ctx, id)
  const present = await presentPowers(ctx, row)
  const wanted = {
    name: patch.name ?? row.name,
    scopes: patch.scopes ?? present.scopes,
    expires_at: patch.expires_at ?? row.expires_at,
    allowed_ips: patch.allowed_ips === undefined ? row.allowed_ips : patch.allowed_ips,
    allowed_models: patch.allowed_models === undefined ? row.allowed_models : patch.allowed_models,
    agent_id: patch.agent_id === undefined ? row.agent_id : patch.agent_id,
  }
  refuseBeyond(ctx.admission, { ...present, ...wanted })
  // A key that is given to another agent is one of its own until then.
  refuseBeyond(ctx.admission, { ...present, ...wanted, agent_id: present.agent_id })
  const now = nowSeconds(ctx)
  if (patch.expires_at !== undefined) endOf(patch.expires_at, now)
  const changed = Object.keys(patch)
  if (changed.length === 0) return row
  const after = viewOf({ ...row, ...wanted, scopes: patch.scopes ?? row.scopes, updated_at: now })
  const note = await auditOf(ctx, 'key.update', id, { before: viewOf(row), after, details: { changed } })
  const [, [updated]] = await refusing(
    ctx.db.atomically(ctx.caller.orgId, (query) => [
      requireChangeable(query, ctx, id),
      query
        .update(apiKeys)
        .set({ ...patch, updated_at: now })
        .where(isVisible(ctx, id))
        .returning(),
      query.insert(auditLog).values(note),
    ]),
  )
  await markChanged(ctx, [recordKeys.key(row.secret_hash)])
  return updated ?? row
}

/**
 * A successor with what the key may do now. The old key ends with the overlap, or before if it was to end before.
 * Throws 403 for powers beyond the caller's, 404, 409 for a key that is at its end or when there are too many, and 429.
 */
export async function rotateKey(ctx: Ctx, id: string, overlapSeconds: number): Promise<MadeKey> {
  const { orgId } = ctx.caller
  await takeCreation(ctx)
  const old = await readKey(ctx, id)
  const powers = await presentPowers(ctx, old)
  refuseBeyond(ctx.admission, powers)
  const now = nowSeconds(ctx)
  const end = now + overlapSeconds
  const { name, user_id } = old
  const expires_at = endOfSuccessor(old, now)
  const made = await newKey(ctx, { ...powers, name, user_id, expires_at, rotated_from: id, root_id: old.root_id })
  const details = { successor: made.row.id, overlap_seconds: overlapSeconds }
  const note = await auditOf(ctx, 'key.rotate', id, { before: viewOf(old), after: viewOf(made.row), details })
  const ends = sql`least(coalesce(${apiKeys.expires_at}, ${end}::bigint), ${end}::bigint)`
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockKeys(query, orgId),
      requireChangeable(query, ctx, id),
      query.update(apiKeys).set({ expires_at: ends, updated_at: now }).where(isVisible(ctx, id)),
      query.insert(apiKeys).values(made.row),
      requireFew(query, made.row),
      query.insert(auditLog).values(note),
    ]),
  )
  await markChanged(ctx, [recordKeys.key(old.secret_hash)])
  return made
}

/** Ends a key for good. A key that was revoked before stays as it is. Throws 404. */
export async function revokeKey(ctx: Ctx, id: string): Promise<void> {
  const row = await readKey(ctx, id)
  if (row.revoked_at !== null) return
  const changes = { revoked_at: nowSeconds(ctx), updated_at: nowSeconds(ctx) }
  const note = await auditOf(ctx, 'key.revoke', id, { before: viewOf(row), after: viewOf({ ...row, ...changes }) })
  const isUnrevoked = and(isVisible(ctx, id), isNull(apiKeys.revoked_at))
  try {
    await ctx.db.atomically(ctx.caller.orgId, (query) => [
      requireKey(query, isUnrevoked),
      query.update(apiKeys).set(changes).where(isVisible(ctx, id)),
      query.insert(auditLog).values(note),
    ])
  } catch (error) {
    if (sqlStateOf(error) !== GONE) throw error
  }
  await markChanged(ctx, [recordKeys.key(row.secret_hash)])
}

function takeCreation(ctx: Ctx): Promise<void> {
  const subject = `${ctx.caller.orgId}:${ctx.caller.userId ?? ctx.caller.keyId}`
  const message = 'Too many keys were made in a short time.'
  return takeOrRefuse(ctx, 'key_creations_per_caller', { subject, message })
}

type Given = Pick<KeyRow, 'name' | 'user_id' | 'expires_at' | 'rotated_from'> & Powers & { root_id?: string }

async function newKey(ctx: Ctx, given: Given): Promise<MadeKey> {
  const secret = createKey(given.mode)
  const now = nowSeconds(ctx)
  const id = ctx.newId('key')
  const row: KeyRow = {
    ...given,
    id,
    root_id: given.root_id ?? id,
    org_id: ctx.caller.orgId,
    policy_id: null,
    public_id: publicIdOf(secret),
    secret_hash: await hashKey(ctx.settings.keyPepper, secret),
    last4: secret.slice(-4),
    last_used_at: null,
    revoked_at: null,
    created_at: now,
    updated_at: now,
  }
  return { secret, row }
}

/** What a key may do today. Throws 409 for one that is refused, whoever's fault that is. */
async function presentPowers(ctx: Ctx, { secret_hash, mode, ...row }: KeyRow): Promise<Powers> {
  const record = await findKey(ctx, secret_hash)
  if (!record?.live) throw atItsEnd()
  const { allowed_ips, allowed_models, agent_id } = row
  return { scopes: scopesNow(record), mode, allowed_ips, allowed_models, agent_id }
}

type Facts = { before?: unknown; after?: unknown; details?: Readonly<Record<string, unknown>> }

const auditOf = (ctx: Ctx, action: string, id: string, facts: Facts) =>
  auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'api_key', id },
    ...facts,
  })

/** States of `require` that say which condition of a transaction did not hold. */
const GONE = 'HX404'
const FULL = 'HX409'

const require = (query: QueryBuilder, held: SQL, state: string) => query.execute(sql`select require(${held}, ${state})`)

const requireKey = (query: QueryBuilder, condition: SQL | undefined) =>
  require(query, exists(query.select({ id: apiKeys.id }).from(apiKeys).where(condition).for('update')), GONE)

/** A key that still works and was not replaced; it stays so until the transaction ends. */
function requireChangeable(query: QueryBuilder, ctx: Ctx, id: string) {
  const successor = alias(apiKeys, 'successor')
  const successors = query
    .select({ id: successor.id })
    .from(successor)
    .where(and(eq(successor.org_id, ctx.caller.orgId), eq(successor.rotated_from, id)))
  return requireKey(query, and(isVisible(ctx, id), isLive(nowSeconds(ctx)), notExists(successors)))
}

/** Whoever makes a key waits for others who do, so that each counts what the others made. */
const lockKeys = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

function requireFew(query: QueryBuilder, { org_id: orgId, created_at: now }: KeyRow) {
  const live = query
    .select({ count: sql`count(*)` })
    .from(apiKeys)
    .where(and(eq(apiKeys.org_id, orgId), isLive(now)))
  return require(query, lte(sql`${live}`, MAX_LIVE_KEYS), FULL)
}

const atItsEnd = () =>
  new AppError(
    'conflict',
    'This key does not change any more: it is revoked, has ended or been replaced, or its owner has left.',
  )

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === GONE) throw atItsEnd()
    if (state !== FULL) throw error
    throw new AppError('conflict', `An organisation has at most ${MAX_LIVE_KEYS} keys that work. Revoke one first.`)
  }
}
