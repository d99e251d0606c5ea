import type { LedgerNamespace } from '../../src/adapters/ledger.ts'
import { createLog } from '../../src/adapters/log.ts'
import { createJobDeps } from '../../src/deps.ts'
import { ConfigurationError, parseJobsEnv } from '../../src/env.ts'
import { jobs } from '../../src/features/jobs.ts'
import { runDueJobs } from '../../src/jobs.ts'

export { NodeGate } from './node-gate.ts'
export { OrgLedger } from './org-ledger.ts'
export { ProviderHealth } from './provider-health.ts'

type Env = Record<string, unknown> & { LEDGER: LedgerNamespace }

/** The jobs Worker serves no HTTP: it is the home of what has state, and of what is done by the clock. */
export default {
  fetch: () => new Response('This Worker serves no requests.\n', { status: 404 }),

  /** `scheduledTime` is when it was due, in Unix milliseconds. */
  async scheduled({ scheduledTime }: { scheduledTime: number }, env: Env): Promise<void> {
    try {
      await runDueJobs(createJobDeps(parseJobsEnv(env), env), jobs, scheduledTime)
    } catch (error) {
      const problems = error instanceof ConfigurationError ? error.problems : [String(error)]
      createLog('error', Date.now).error('jobs_not_run', { problems })
      throw error
    }
  },
}
