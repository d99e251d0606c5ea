import { and, asc, desc, eq, gt, inArray, lt, or, type SQL } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { JobFields, JobsQuery, JobView } from './schema.ts'
import { jobs } from './table.ts'

export type JobRow = typeof jobs.$inferSelect

/** How long a job and its result can be asked for. */
export const KEPT_SECONDS = 7 * 86_400

export function viewOf(row: JobRow): JobFields {
  const { id, kind, status, progress, detail, error, created_at, started_at, finished_at, expires_at } = row
  return {
    id,
    object: 'job',
    kind,
    status,
    progress,
    ...(detail !== null && { detail }),
    ...(status === 'failed' && error !== null && { error }),
    created_at,
    ...(started_at !== null && { started_at }),
    ...(finished_at !== null && { finished_at }),
    expires_at,
  }
}

/**
 * The jobs of the caller's organisation for who may do everything. Else those of the very key that asks, or of the person
 * who is signed in, with those of keys of theirs. One of them by its id.
 */
function isVisible({ caller, now }: Pick<Ctx, 'caller' | 'now'>, everything: readonly string[], id?: string) {
  const { orgId, keyId, kind, userId, scopes } = caller
  const person = kind === 'api_key' ? undefined : userId
  const seesAll = everything.some((scope) => scopes.includes(scope))
  return and(
    eq(jobs.org_id, orgId),
    gt(jobs.expires_at, nowSeconds({ now })),
    seesAll ? undefined : or(eq(jobs.key_id, keyId), person === undefined ? undefined : eq(jobs.user_id, person)),
    id === undefined ? undefined : eq(jobs.id, id),
  )
}

const mayRead = (ctx: Ctx, id?: string): SQL | undefined => isVisible(ctx, ['*:*', '*:read'], id)
const mayCancel = (ctx: Ctx, id: string): SQL | undefined => isVisible(ctx, ['*:*'], id)

/** One row more than asked for, if there is one. */
export async function listJobs(ctx: Ctx, { limit, after, order, status, kind }: JobsQuery): Promise<JobRow[]> {
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .select()
      .from(jobs)
      .where(
        and(
          mayRead(ctx),
          status === undefined ? undefined : eq(jobs.status, status),
          kind === undefined ? undefined : eq(jobs.kind, kind),
          after === undefined ? undefined : (order === 'asc' ? gt : lt)(jobs.id, after),
        ),
      )
      .orderBy(order === 'asc' ? asc(jobs.id) : desc(jobs.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404 for a job that the caller may not see, and `DependencyError('bucket')` where its result is there. */
export async function readJob(ctx: Ctx, id: string): Promise<JobView> {
  const [[row]] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query.select().from(jobs).where(mayRead(ctx, id)),
  ])
  if (!row) throw notFound('job')
  if (row.status !== 'completed') return viewOf(row)
  const kept = row.result_key === null ? undefined : await ctx.bucket.get(row.result_key)
  const result: unknown = kept ? JSON.parse(new TextDecoder().decode(await kept.bytes())) : row.result
  return { ...viewOf(row), result }
}

/**
 * Whoever does it loses the lease, and finds out when they next renew it. Throws 404 for a job that the caller may not
 * cancel, 409 for one that has ended.
 */
export async function cancelJob(ctx: Ctx, id: string): Promise<void> {
  const now = nowSeconds(ctx)
  const [cancelled, found] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .update(jobs)
      .set({
        status: 'cancelled',
        lease_id: null,
        lease_until: null,
        finished_at: now,
        expires_at: now + KEPT_SECONDS,
        updated_at: now,
      })
      .where(and(mayCancel(ctx, id), inArray(jobs.status, ['queued', 'running'])))
      .returning({ id: jobs.id }),
    query.select({ status: jobs.status }).from(jobs).where(mayCancel(ctx, id)),
  ])
  if (cancelled.length > 0) return
  const [row] = found
  if (!row) throw notFound('job')
  throw new AppError('already_finished', `This job is ${row.status}: there is nothing left to cancel.`)
}
