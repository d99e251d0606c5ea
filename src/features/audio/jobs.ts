import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps } from '../../core/jobs.ts'

const RUNS_KEPT_SECONDS = 90 * 86_400
const BATCH = 5000

/** Every night: runs that nobody wants to read any more, and transcripts whose time is over. */
export const audioJobs: readonly Job[] = [
  {
    name: 'audio',
    hourUtc: 5,
    run: (deps, { dueMs, deadlineMs, eachOrg }) => {
      const now = Math.floor(dueMs / 1000)
      return eachOrg(async (orgId) => {
        for (const remove of [removeRuns, removeTranscripts]) {
          let removed = BATCH
          while (removed === BATCH && deps.now() < deadlineMs) removed = await remove(deps, orgId, now)
        }
      })
    },
  },
]

async function removeRuns({ system }: JobDeps, orgId: string, now: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (select id from audio_runs
        where org_id = ${orgId} and created_at < ${now - RUNS_KEPT_SECONDS} limit ${BATCH}),
      gone as (delete from audio_runs a using old where a.org_id = ${orgId} and a.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}

async function removeTranscripts({ system }: JobDeps, orgId: string, now: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (select id from transcripts where org_id = ${orgId} and expires_at < ${now} limit ${BATCH}),
      gone as (delete from transcripts t using old where t.org_id = ${orgId} and t.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}
