import type { Job } from '../../core/jobs.ts'
import { bucketOf } from '../../core/windows.ts'
import { checkDay } from './drift.ts'

const DAY_MS = 86_400_000

/** Every night the day before, of every organisation. */
export const ledgerJobs: readonly Job[] = [
  {
    name: 'recompute',
    hourUtc: 2,
    run: (deps, { dueMs, deadlineMs, eachOrg }) => {
      const day = bucketOf('day', dueMs - DAY_MS)
      return eachOrg(async (orgId) => {
        await checkDay(deps, { orgId, day, deadlineMs })
      })
    },
  },
]
