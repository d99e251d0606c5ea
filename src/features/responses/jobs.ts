import type { Job } from '../../core/jobs.ts'
import { removeExpired } from './store.ts'

/** Rows of one statement; each may be of some megabytes. */
const BATCH = 200

/** Every night what has expired: until then it is only not shown any more. */
export const responseJobs: readonly Job[] = [
  {
    name: 'responses',
    hourUtc: 4,
    run: (deps, { deadlineMs, eachOrg }) =>
      eachOrg(async (orgId) => {
        let removed = BATCH
        while (removed === BATCH && deps.now() < deadlineMs) removed = await removeExpired(deps, orgId, BATCH)
      }),
  },
]
