import { and, asc, desc, eq, gt, lt, lte, ne, or, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { resolveModel } from '../catalog/service.ts'
import { orgs } from '../orgs/table.ts'
import { markSubject } from '../subjects/service.ts'
import type { Availability, AvailabilityView, ModelsQuery } from './schema.ts'
import { modelMarks } from './table.ts'

type MarkRow = typeof modelMarks.$inferSelect

/** Each of an organisation's callers carries those that are in force. */
const MAX_MARKS = 200
const FULL = 'HX409'

const isMark = (orgId: string, model: string) => and(eq(modelMarks.org_id, orgId), eq(modelMarks.model, model))

function viewOf({ model, available, reason, until, ...row }: MarkRow, now: number): AvailabilityView {
  const { updated_by, created_at, updated_at } = row
  const isOver = until !== null && until <= now
  const told = { available: available || isOver, reason, until, updated_by, created_at, updated_at }
  return { id: model, object: 'model_availability', model, ...told }
}

/** One more than asked for. */
export async function listMarks(ctx: Ctx, query: ModelsQuery): Promise<AvailabilityView[]> {
  const { orgId } = ctx.caller
  const { limit, after, order } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await ctx.db.atomically(orgId, (from) => [
    from
      .select()
      .from(modelMarks)
      .where(and(eq(modelMarks.org_id, orgId), after === undefined ? undefined : isNext(modelMarks.model, after)))
      .orderBy((order === 'asc' ? asc : desc)(modelMarks.model))
      .limit(limit + 1),
  ])
  return rows.map((row) => viewOf(row, nowSeconds(ctx)))
}

/** Throws 404 for what is the name of no model. */
export async function readMark(ctx: Ctx, model: string): Promise<AvailabilityView> {
  const row = await findMark(ctx, model)
  if (row) return viewOf(row, nowSeconds(ctx))
  requireKnown(ctx, model)
  const never = { available: true, reason: '', until: null, updated_by: null, created_at: null, updated_at: null }
  return { id: model, object: 'model_availability', model, ...never }
}

/** Honoured by the next call. Throws 404 for what is the name of no model, 409 beyond two hundred, and 422. */
export async function setMark(ctx: Ctx, model: string, wanted: Availability): Promise<AvailabilityView> {
  const { orgId } = ctx.caller
  const before = await findMark(ctx, model)
  if (!before) requireKnown(ctx, model)
  const now = nowSeconds(ctx)
  if (wanted.available && wanted.until !== null) throw unfit('until', 'is for a model that is out of use')
  if (wanted.until !== null && wanted.until <= now) throw unfit('until', 'is in the past')
  const actor = actorOf(ctx.caller)
  const set = { ...wanted, updated_by: actor.id, updated_at: now }
  const row: MarkRow = { ...set, org_id: orgId, model, created_at: before?.created_at ?? now }
  const after = viewOf(row, now)
  const note = await auditRow(ctx, {
    orgId,
    actor,
    action: 'model.availability',
    target: { kind: 'model', id: model },
    before: before && viewOf(before, now),
    after,
    details: { ...wanted },
  })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update'),
      query
        .insert(modelMarks)
        .values(row)
        .onConflictDoUpdate({ target: [modelMarks.org_id, modelMarks.model], set }),
      query.delete(modelMarks).where(and(isOtherOver(orgId, model, now), gt(countOf(orgId), MAX_MARKS))),
      query.execute(sql`select require(${lte(countOf(orgId), MAX_MARKS)}, ${FULL})`),
      query.insert(auditLog).values(note),
    ]),
  )
  await markSubject(ctx, { subject_kind: 'org', subject_id: orgId })
  return after
}

const countOf = (orgId: string) => sql`(select count(*) from ${modelMarks} where ${eq(modelMarks.org_id, orgId)})`

/** Marks of others that are in force no more: they give way where there are too many. */
const isOtherOver = (orgId: string, model: string, now: number) =>
  and(
    eq(modelMarks.org_id, orgId),
    ne(modelMarks.model, model),
    or(eq(modelMarks.available, true), lte(modelMarks.until, now)),
  )

async function findMark({ db, caller: { orgId } }: Ctx, model: string): Promise<MarkRow | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(modelMarks).where(isMark(orgId, model))])
  return row
}

/** Throws 404: a typing error shall not look as if a model were out of use. */
function requireKnown({ providers, memory }: Ctx, model: string): void {
  if (providers.has(model.slice(0, Math.max(0, model.indexOf('/')))) || resolveModel(model).length > 0) return
  const isKnown = [...providers.values()].some(({ name: provider, account }) => {
    const listed = memory.listings.get(account?.id ?? provider)?.models ?? []
    return [...listed, ...(account?.models ?? [])].some(({ name }) => name === model)
  })
  if (isKnown) return
  throw new AppError('model_not_found', `No model is known by the name '${model}'.`, { param: 'model' })
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (sqlStateOf(error) !== FULL) throw error
    throw new AppError('conflict', `An organisation marks at most ${MAX_MARKS} models. Put some back first.`)
  }
}
