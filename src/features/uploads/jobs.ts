import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Job } from '../../core/jobs.ts'
import { keyOf } from './rows.ts'

const BATCH = 500

/** What is over, every five minutes. The bytes go before the row, which alone knows of them. */
export const uploadsJob: Job = {
  name: 'uploads_removed',
  hourUtc: 'often',
  async run(deps, { deadlineMs }) {
    const now = nowSeconds(deps)
    let done = 0
    for (let removed = BATCH; removed === BATCH && deps.now() < deadlineMs; done += removed) {
      const rows = await deps.system.query(
        sql`select id, org_id from uploads where expires_at < ${now} order by expires_at limit ${BATCH}`,
      )
      removed = rows.length
      if (removed === 0) break
      await deps.bucket.remove(rows.map(({ id, org_id }) => keyOf({ id: String(id), org_id: String(org_id) })))
      const ids = JSON.stringify(rows.map(({ id }) => String(id)))
      await deps.system.query(sql`delete from uploads where id in (select jsonb_array_elements_text(${ids}::jsonb))`)
    }
    return { done, failed: 0 }
  },
}
