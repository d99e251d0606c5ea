import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps } from '../../core/jobs.ts'

const KEPT_SECONDS = 30 * 86_400
const BATCH = 5000

/** Every night the decisions that nobody can want to read any more. */
export const decisionJobs: readonly Job[] = [
  {
    name: 'decisions',
    hourUtc: 5,
    run: (deps, { dueMs, deadlineMs, eachOrg }) => {
      const before = Math.floor(dueMs / 1000) - KEPT_SECONDS
      return eachOrg(async (orgId) => {
        let removed = BATCH
        while (removed === BATCH && deps.now() < deadlineMs) removed = await removeSome(deps, orgId, before)
      })
    },
  },
]

/** Callers' role may not remove them: a decision is never taken back. */
async function removeSome({ system }: JobDeps, orgId: string, before: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (
        select id from decisions where org_id = ${orgId} and created_at < ${before} limit ${BATCH}),
      gone as (delete from decisions d using old where d.org_id = ${orgId} and d.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}
