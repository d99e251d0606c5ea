import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Job, JobDeps, JobOutcome } from '../../core/jobs.ts'

/** A message is given a minute; after that it may be lost. */
const LOST_SECONDS = 60
const MOST_SENT = 1000
const MOST_REMOVED = 500

/** Every five minutes: what a queue has lost is sent again, and what has expired is removed. */
export const jobQueueJobs: readonly Job[] = [
  { name: 'jobs_sent_again', hourUtc: 'often', run: sendAgain },
  { name: 'jobs_removed', hourUtc: 'often', run: (deps, { deadlineMs }) => removeExpired(deps, deadlineMs) },
]

/**
 * Jobs that are due and were told to nobody for a while, and those whose worker has gone silent. The longer one waits
 * the less often it is sent: where a queue is only slow, its messages must not become ever more. The urgent first.
 */
async function sendAgain(deps: JobDeps): Promise<JobOutcome> {
  const now = nowSeconds(deps)
  const rows = await deps.system.query(sql`
    select id, org_id from jobs
    where due_at <= ${now} and (status = 'queued' or (status = 'running' and lease_until < ${now}))
      and (sent_at is null or sent_at < ${now} - greatest(${LOST_SECONDS}, (${now} - due_at) / 2))
    order by array_position(array['critical', 'high', 'normal', 'low'], priority), due_at
    limit ${MOST_SENT}`)
  if (rows.length === 0) return { done: 0, failed: 0 }
  await deps.workQueue.send(rows.map(({ id, org_id }) => ({ job_id: String(id), org_id: String(org_id) })))
  const ids = rows.map(({ id }) => String(id))
  await deps.system.query(
    sql`update jobs set sent_at = ${now} where id in (select jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))`,
  )
  deps.log.warn('jobs_sent_again', { count: ids.length })
  return { done: ids.length, failed: 0 }
}

/** The file goes before the row, which alone knows of it. */
async function removeExpired(deps: JobDeps, deadlineMs: number): Promise<JobOutcome> {
  const now = nowSeconds(deps)
  let done = 0
  for (let removed = MOST_REMOVED; removed === MOST_REMOVED && deps.now() < deadlineMs; done += removed) {
    const rows = await deps.system.query(
      sql`select id, result_key from jobs where expires_at < ${now} order by expires_at limit ${MOST_REMOVED}`,
    )
    removed = rows.length
    if (removed === 0) break
    const keys = rows.flatMap(({ result_key }) => (typeof result_key === 'string' ? [result_key] : []))
    if (keys.length > 0) await deps.bucket.remove(keys)
    const ids = JSON.stringify(rows.map(({ id }) => String(id)))
    await deps.system.query(sql`delete from jobs where id in (select jsonb_array_elements_text(${ids}::jsonb))`)
  }
  return { done, failed: 0 }
}
