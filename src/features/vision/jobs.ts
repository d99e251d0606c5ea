import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps } from '../../core/jobs.ts'

const KEPT_SECONDS = 90 * 86_400
const BATCH = 5000

/** Every hour: notes of what was asked of pictures that nobody wants to read any more. */
export const visionJob: Job = {
  name: 'vision_runs',
  hourUtc: 'every',
  async run(deps, { dueMs, deadlineMs }) {
    const before = Math.floor(dueMs / 1000) - KEPT_SECONDS
    let done = 0
    for (let removed = BATCH; removed === BATCH && deps.now() < deadlineMs; done += removed) {
      removed = await removeSome(deps, before)
    }
    return { done, failed: 0 }
  },
}

async function removeSome({ system }: JobDeps, before: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (select id from vision_runs where created_at < ${before} order by created_at limit ${BATCH}),
      gone as (delete from vision_runs r using old where r.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}
