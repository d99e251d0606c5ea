import { createLog } from '../../src/adapters/log.ts'
import { type Bindings, createJobDeps } from '../../src/deps.ts'
import { ConfigurationError, parseJobsEnv } from '../../src/env.ts'
import { jobs } from '../../src/features/jobs.ts'
import { runBy, runDueJobs } from '../../src/jobs.ts'
import type { workOff } from './work.ts'

export { NodeGate } from './node-gate.ts'
export { OrgLedger } from './org-ledger.ts'
export { ProviderHealth } from './provider-health.ts'

type Env = Record<string, unknown> & Bindings

/** The jobs Worker serves no HTTP: it is the home of what has state, of what is done by the clock, and of long work. */
export default {
  fetch: () => new Response('This Worker serves no requests.\n', { status: 404 }),

  /** `scheduledTime` is when it was due, in Unix milliseconds. */
  async scheduled({ scheduledTime, cron }: { scheduledTime: number; cron: string }, env: Env): Promise<void> {
    try {
      await runDueJobs(createJobDeps(parseJobsEnv(env), env), runBy(cron, jobs), scheduledTime)
    } catch (error) {
      const problems = error instanceof ConfigurationError ? error.problems : [String(error)]
      createLog('error', Date.now).error('jobs_not_run', { problems })
      throw error
    }
  },

  async queue({ messages }: { messages: Parameters<typeof workOff>[0] }, env: Env): Promise<void> {
    // What does long work is most of the gateway: the objects, which live in this Worker too, start without it.
    await (await import('./work.ts')).workOff(messages, env)
  },
}
