import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps } from '../../core/jobs.ts'

const SEARCHES_KEPT_SECONDS = 90 * 86_400
/** A generation that is not searched after so long was left behind by whoever wrote it. */
const WRITING_SECONDS = 86_400
const BATCH = 5000

/** Every night: searches that nobody wants to read any more, and chunks that were never searched. */
export const semanticJobs: readonly Job[] = [
  {
    name: 'semantic',
    hourUtc: 6,
    run: (deps, { dueMs, deadlineMs, eachOrg }) => {
      const now = Math.floor(dueMs / 1000)
      return eachOrg(async (orgId) => {
        for (const remove of [removeSearches, removeLeftChunks]) {
          let removed = BATCH
          while (removed === BATCH && deps.now() < deadlineMs) removed = await remove(deps, orgId, now)
        }
      })
    },
  },
]

async function removeSearches({ system }: JobDeps, orgId: string, now: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (select id from semantic_searches
        where org_id = ${orgId} and created_at < ${now - SEARCHES_KEPT_SECONDS} limit ${BATCH}),
      gone as (delete from semantic_searches s using old where s.org_id = ${orgId} and s.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}

async function removeLeftChunks({ system }: JobDeps, orgId: string, now: number): Promise<number> {
  const [row] = await system.query(
    sql`with old as (select id from chunks
        where org_id = ${orgId} and not is_current and updated_at < ${now - WRITING_SECONDS} limit ${BATCH}),
      vectors as (delete from embeddings e using old
        where e.org_id = ${orgId} and e.owner_kind = 'chunk' and e.owner_id = old.id),
      gone as (delete from chunks c using old where c.org_id = ${orgId} and c.id = old.id returning 1)
      select count(*) as removed from gone`,
  )
  return Number(row?.removed ?? 0)
}
