import { and, eq, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { WorkMessage } from '../../core/work.ts'
import { type JobRow, KEPT_SECONDS } from './rows.ts'
import { type JobError, jobs } from './table.ts'

/** For so long nobody else begins a job that somebody has begun and says nothing of. */
export const LEASE_SECONDS = 180
/** Half of what is left of a row stays for what stands beside a result. */
export const MOST_IN_ROW_BYTES = 256 * 1024

/** A job in somebody's hands. */
export type Held = { orgId: string; jobId: string; leaseId: string }
type World = Pick<Deps, 'db' | 'now' | 'newId'>

const isJob = ({ orgId, jobId }: Omit<Held, 'leaseId'>) => and(eq(jobs.org_id, orgId), eq(jobs.id, jobId))

/** What is written without the lease is written by somebody who lost it. */
const isHeld = (held: Held): SQL | undefined =>
  and(isJob(held), eq(jobs.lease_id, held.leaseId), eq(jobs.status, 'running'))

/**
 * Takes a job that is due and in nobody's hands. Undefined for one that has ended, is not due yet, is being done, or
 * does not exist. Throws `DependencyError('postgres')`.
 */
export async function claim({ db, now, newId }: World, { job_id, org_id }: WorkMessage): Promise<JobRow | undefined> {
  const at = nowSeconds({ now })
  const [[row]] = await db.atomically(org_id, (query) => [
    query
      .update(jobs)
      .set({
        status: 'running',
        attempts: sql`${jobs.attempts} + 1`,
        lease_id: newId('lea'),
        lease_until: at + LEASE_SECONDS,
        started_at: sql`coalesce(${jobs.started_at}, ${at})`,
        updated_at: at,
      })
      .where(
        and(
          isJob({ orgId: org_id, jobId: job_id }),
          lte(jobs.due_at, at),
          or(eq(jobs.status, 'queued'), and(eq(jobs.status, 'running'), lt(jobs.lease_until, at))),
        ),
      )
      .returning(),
  ])
  return row
}

/** Keeps the job for another while, and notes how far it is. False when it is not theirs any more. */
export async function renew(
  { db, now }: World,
  held: Held,
  news: { progress?: number; detail?: Record<string, unknown> } = {},
): Promise<boolean> {
  const at = nowSeconds({ now })
  const [rows] = await db.atomically(held.orgId, (query) => [
    query
      .update(jobs)
      .set({ ...news, lease_until: at + LEASE_SECONDS, updated_at: at })
      .where(isHeld(held))
      .returning({ id: jobs.id }),
  ])
  return rows.length > 0
}

export type End =
  | { status: 'completed'; result: unknown; resultKey: string | null }
  | { status: 'failed'; error: JobError }

/** Writes down how a job has ended, once. False when it was not theirs any more: then nothing is written. */
export async function end({ db, now }: World, held: Held, ended: End): Promise<boolean> {
  const at = nowSeconds({ now })
  const [rows] = await db.atomically(held.orgId, (query) => [
    query
      .update(jobs)
      .set({
        ...(ended.status === 'completed'
          ? { status: 'completed', progress: 1, result: ended.result, result_key: ended.resultKey, error: null }
          : { status: 'failed', error: ended.error }),
        lease_id: null,
        lease_until: null,
        finished_at: at,
        expires_at: at + KEPT_SECONDS,
        updated_at: at,
      })
      .where(isHeld(held))
      .returning({ id: jobs.id }),
  ])
  return rows.length > 0
}

/** Puts a job back for another attempt, not before so many seconds. False as `end`. */
export async function putBack(
  { db, now }: World,
  held: Held,
  { error, delaySeconds }: { error: JobError; delaySeconds: number },
): Promise<boolean> {
  const at = nowSeconds({ now })
  const [rows] = await db.atomically(held.orgId, (query) => [
    query
      .update(jobs)
      .set({
        status: 'queued',
        error,
        lease_id: null,
        lease_until: null,
        due_at: at + delaySeconds,
        sent_at: null,
        updated_at: at,
      })
      .where(isHeld(held))
      .returning({ id: jobs.id }),
  ])
  return rows.length > 0
}
