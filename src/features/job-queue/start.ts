import { and, eq, inArray, lte, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import type { Priority } from '../../core/routing.ts'
import type { WorkMessage } from '../../core/work.ts'
import { queueFor, requireThat } from '../orgs/service.ts'
import { type JobRow, KEPT_SECONDS, viewOf } from './rows.ts'
import type { JobFields } from './schema.ts'
import { jobs } from './table.ts'

export type WantedJob = { kind: string; input: Record<string, unknown>; priority?: Priority }

/** That wait or are being done, of an organisation. */
export const MOST_OPEN = 1000

/** State of `requireThat`. */
const FULL = 'HX409'

/** See `startJob`. */
export async function start(ctx: Ctx, { kind, input, priority = 'normal' }: WantedJob): Promise<JobFields> {
  const { orgId, keyId, kind: callerKind, userId } = ctx.caller
  if (callerKind === 'scraper') throw new AppError('permission_denied', 'This credential reads metrics only.')
  const now = nowSeconds(ctx)
  const row: JobRow = {
    id: ctx.newId('job'),
    org_id: orgId,
    kind,
    status: 'queued',
    priority,
    progress: 0,
    detail: null,
    input,
    result: null,
    result_key: null,
    error: null,
    key_id: keyId,
    key_kind: callerKind === 'api_key' ? 'api_key' : 'session',
    user_id: userId ?? null,
    attempts: 0,
    lease_until: null,
    lease_id: null,
    sent_at: null,
    due_at: now,
    started_at: null,
    finished_at: null,
    expires_at: now + KEPT_SECONDS,
    created_at: now,
    updated_at: now,
  }
  try {
    await ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      query.insert(jobs).values(row),
      isNotFull(query, orgId),
    ])
  } catch (error) {
    if (sqlStateOf(error) !== FULL) throw error
    throw new AppError('conflict', `An organisation has at most ${MOST_OPEN} jobs that wait or are being done.`)
  }
  ctx.defer(send(ctx, { job_id: row.id, org_id: orgId }))
  return viewOf(row)
}

function isNotFull(query: QueryBuilder, orgId: string) {
  const isOpen = and(eq(jobs.org_id, orgId), inArray(jobs.status, ['queued', 'running']))
  return requireThat(query, lte(sql`(select count(*) from ${jobs} where ${isOpen})`, MOST_OPEN), FULL)
}

/**
 * Hands a job to the queue, and notes that. What goes wrong is only logged: a job that nobody was told of is sent again
 * by the clock.
 */
export async function send(
  { db, workQueue, log, now }: Pick<Deps, 'db' | 'workQueue' | 'log' | 'now'>,
  message: WorkMessage,
  delaySeconds = 0,
): Promise<void> {
  const { job_id, org_id } = message
  try {
    await workQueue.send([message], delaySeconds)
    await db.atomically(org_id, (query) => [
      query
        .update(jobs)
        .set({ sent_at: nowSeconds({ now }) })
        .where(and(eq(jobs.org_id, org_id), eq(jobs.id, job_id))),
    ])
  } catch (cause) {
    log.warn('job_not_sent', { job_id, org_id, cause: String(cause) })
  }
}
