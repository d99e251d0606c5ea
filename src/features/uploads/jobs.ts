import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Job } from '../../core/jobs.ts'
import { keysOf, MOST_ATTEMPTS } from './rows.ts'

/** The bucket removes a thousand files at once. */
const BATCH = Math.floor(1000 / (MOST_ATTEMPTS + 1))

/** What is over, every five minutes. The bytes go before the row, which alone knows of them. */
export const uploadsJob: Job = {
  name: 'uploads_removed',
  hourUtc: 'often',
  async run(deps, { deadlineMs }) {
    const now = nowSeconds(deps)
    let done = 0
    for (let removed = BATCH; removed === BATCH && deps.now() < deadlineMs; done += removed) {
      const rows = await deps.system.query(
        sql`select id, org_id, created_at, updated_at from uploads where expires_at < ${now} order by expires_at limit ${BATCH}`,
      )
      removed = rows.length
      if (removed === 0) break
      await deps.bucket.remove(
        rows.flatMap(({ id, org_id, created_at, updated_at }) =>
          keysOf({
            id: String(id),
            org_id: String(org_id),
            created_at: Number(created_at),
            updated_at: Number(updated_at),
          }),
        ),
      )
      const ids = JSON.stringify(rows.map(({ id }) => String(id)))
      await deps.system.query(sql`delete from uploads where id in (select jsonb_array_elements_text(${ids}::jsonb))`)
    }
    return { done, failed: 0 }
  },
}
