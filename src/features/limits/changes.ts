import { and, eq, inArray, lte, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { markSubject } from '../subjects/service.ts'
import type { LimitRow } from './compile.ts'
import { presetNames, presetOf } from './presets.ts'
import { isOf, isOwn, readLimit, viewOf } from './rows.ts'
import { checkAmounts, checkRule, type StoredRule } from './rules.ts'
import type { ApplyPreset, CreateLimit, LimitRule, PatchLimit } from './schema.ts'
import { type LimitSubject, requireLimited } from './subject.ts'
import { limits } from './table.ts'

const MAX_LIMITS = 20
const MAX_OF_PROVIDERS = 50

/** States of `require`: a row is gone, or there are too many. */
const GONE = 'HX404'
const FULL = 'HX409'

/** It holds from the next call on. Throws 422 for a subject that the organisation does not have, and 409 beyond twenty. */
export async function createLimit(ctx: Ctx, { subject_kind, subject_id, ...rule }: CreateLimit): Promise<LimitRow> {
  const { orgId } = ctx.caller
  const stored = checkRule(rule)
  const subject = await requireLimited(ctx, { subject_kind, subject_id })
  const row = newRow(ctx, subject, { ...stored, preset: null })
  const note = await auditOf(ctx, 'limit.create', { after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockLimits(query, orgId),
      query.insert(limits).values(row),
      requireFew(query, orgId, subject),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, row)
  return row
}

/** Another rule for the same subject: what is left out gets its default. Throws 404 and 422. */
export async function replaceLimit(ctx: Ctx, id: string, rule: LimitRule): Promise<LimitRow> {
  const stored = checkRule(rule)
  return change(ctx, await readLimit(ctx, id), { ...stored, preset: null })
}

/** What is absent stays as it is. Throws 404, and 422 for what does not go with the limit's algorithm. */
export async function patchLimit(ctx: Ctx, id: string, { amount, burst, mode }: PatchLimit): Promise<LimitRow> {
  const before = await readLimit(ctx, id)
  const changes = {
    ...(amount === undefined ? {} : { amount }),
    ...(burst === undefined ? {} : { burst }),
    ...(mode === undefined ? {} : { mode }),
  }
  if (Object.keys(changes).length === 0) return before
  checkAmounts({ ...before, ...changes })
  return change(ctx, before, changes)
}

/** Throws 404. */
export async function deleteLimit(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readLimit(ctx, id)
  const note = await auditOf(ctx, 'limit.delete', { before })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, id),
      query.delete(limits).where(isOwn(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, before)
}

/** The subject's limits that came from a preset give way to those of this one. Throws 422, and 409 beyond twenty. */
export async function applyPreset(ctx: Ctx, { preset, subject_kind, subject_id }: ApplyPreset): Promise<LimitRow[]> {
  const { orgId } = ctx.caller
  const subject = await requireLimited(ctx, { subject_kind, subject_id })
  const rows = presetOf(preset, subject).map((rule) => newRow(ctx, subject, { ...checkRule(rule), preset }))
  const note = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'limit.preset',
    target: { kind: subject_kind, id: subject.subject_id },
    after: rows.map(viewOf),
    details: { preset },
  })
  const isOfFamily = and(isOf(orgId, subject), inArray(limits.preset, presetNames))
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      lockLimits(query, orgId),
      query.delete(limits).where(isOfFamily),
      query.insert(limits).values(rows),
      requireFew(query, orgId, subject),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, subject)
  return rows
}

type Changes = Partial<StoredRule & Pick<LimitRow, 'preset'>>

async function change(ctx: Ctx, before: LimitRow, changes: Changes): Promise<LimitRow> {
  const { orgId } = ctx.caller
  const row: LimitRow = { ...before, ...changes, updated_at: nowSeconds(ctx) }
  const note = await auditOf(ctx, 'limit.update', { before, after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      stands(query, orgId, before.id),
      query
        .update(limits)
        .set({ ...changes, updated_at: row.updated_at })
        .where(isOwn(orgId, before.id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, row)
  return row
}

function newRow(
  ctx: Ctx,
  { subject_kind, subject_id }: LimitSubject,
  given: StoredRule & Pick<LimitRow, 'preset'>,
): LimitRow {
  const now = nowSeconds(ctx)
  return {
    ...given,
    subject_kind,
    subject_id,
    id: ctx.newId('lim'),
    org_id: ctx.caller.orgId,
    created_at: now,
    updated_at: now,
  }
}

/** Whoever adds limits waits for others who do, so that each counts what the others added. */
const lockLimits = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

/** Everybody's policy carries the limits of all providers, so these are few together. */
function requireFew(query: QueryBuilder, orgId: string, subject: LimitSubject) {
  const isOfProvider = subject.subject_kind === 'provider'
  const bound = isOfProvider ? and(isOwn(orgId), eq(limits.subject_kind, 'provider')) : isOf(orgId, subject)
  const all = query.select({ count: sql`count(*)` }).from(limits).where(bound)
  return require(query, lte(sql`${all}`, isOfProvider ? MAX_OF_PROVIDERS : MAX_LIMITS), FULL)
}

/** Ends the transaction unless the limit is still there, and keeps it so until the end. */
const stands = (query: QueryBuilder, orgId: string, id: string) =>
  require(query, sql`exists(select from ${limits} where ${isOwn(orgId, id)} for update)`, GONE)

const require = (query: QueryBuilder, held: SQL, state: string) => query.execute(sql`select require(${held}, ${state})`)

type Facts = { before?: LimitRow; after?: LimitRow }

function auditOf(ctx: Ctx, action: string, { before, after }: Facts) {
  const row = after ?? before
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: row && { kind: 'limit', id: row.id },
    before: before && viewOf(before),
    after: after && viewOf(after),
    details: { subject_kind: row?.subject_kind, subject_id: row?.subject_id, metric: row?.metric, amount: row?.amount },
  })
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === GONE) throw notFound('limit')
    if (state !== FULL) throw error
    throw new AppError(
      'conflict',
      `A subject has at most ${MAX_LIMITS} limits, and all providers together ${MAX_OF_PROVIDERS}. Delete one first.`,
    )
  }
}
