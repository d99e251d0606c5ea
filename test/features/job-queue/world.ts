import { afterAll, beforeAll } from 'vitest'
import { insert, type Seeded, type SeedOptions } from '../../../scripts/seed.ts'
import type { Ctx, Deps } from '../../../src/core/context.ts'
import type { Database } from '../../../src/core/db.ts'
import { newId } from '../../../src/core/ids.ts'
import type { WorkMessage } from '../../../src/core/work.ts'
import { jobQueueJobs } from '../../../src/features/job-queue/jobs.ts'
import { runMessage } from '../../../src/features/job-queue/run.ts'
import type { JobHandler } from '../../../src/features/job-queue/service.ts'
import { fakeAdmission, fakeDeps, fakeJobDeps, keptLog } from '../../support/fake-deps.ts'
import { memoryBucket } from '../../support/memory-bucket.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'

const PEPPER = 'pepper-of-the-tests-of-jobs'
export const START_MS = 1_900_000_000_000

/** Long work over a real Postgres, on a clock that the test moves, with a queue that the test empties itself. */
export function useWorld() {
  let started: { migrated: MigratedPostgres; db: Database } | undefined
  const running = () => {
    if (!started) throw new Error('The database has not been started yet.')
    return started
  }
  beforeAll(async () => {
    const migrated = await startMigratedPostgres()
    started = { migrated, db: migrated.database() }
  })
  afterAll(() => started?.migrated.close())

  const query = async (text: string, values?: unknown[]): Promise<Record<string, unknown>[]> =>
    (await running().migrated.pool.query(text, values)).rows

  return {
    query,
    org: (options: Partial<SeedOptions> = {}): Promise<Seeded> =>
      insert(running().migrated.pool, PEPPER, { name: 'A test', ...options }),

    system: () => running().migrated.systemDatabase(),

    /** A gateway and who works for it. What is in `queue` has been sent and not yet been brought. */
    isolate(given: Partial<Deps> = {}) {
      const clock = { ms: START_MS }
      const queue: { message: WorkMessage; delaySeconds: number }[] = []
      const { bucket, files } = memoryBucket()
      const { log, lines } = keptLog()
      const now = () => clock.ms
      const send: Deps['workQueue']['send'] = async (messages, delaySeconds = 0) =>
        void queue.push(...messages.map((message) => ({ message, delaySeconds })))
      const deps = fakeDeps({
        db: running().db,
        workQueue: { send },
        bucket,
        log,
        now,
        newId: (prefix) => newId(prefix, now()),
        ...given,
      })
      const deferred: Promise<unknown>[] = []
      const ctxOf = (caller: Partial<Ctx['caller']>, admission = fakeAdmission()): Ctx => ({
        ...deps,
        caller: {
          orgId: '',
          keyId: '',
          kind: 'api_key',
          userId: undefined,
          role: undefined,
          scopes: [],
          ip: '',
          ...caller,
        },
        admission,
        requestId: 'req_test',
        signal: new AbortController().signal,
        startedMs: clock.ms,
        defer: (work) => void deferred.push(work),
      })
      return {
        deps,
        clock,
        queue,
        files,
        lines,
        ctxOf,
        settled: () => Promise.all(deferred.splice(0)),
        /** Brings one message of the queue, whatever its delay. */
        async work(handlers: readonly JobHandler[], message = queue.shift()?.message): Promise<void> {
          if (!message) throw new Error('nothing is in the queue')
          await runMessage({ deps, handlers }, message)
        },
        /** What the clock does every five minutes. */
        async sweep() {
          const system = running().migrated.systemDatabase()
          const jobDeps = fakeJobDeps({ ...deps, system })
          for (const job of jobQueueJobs) {
            const eachOrg = () => Promise.reject(new Error('this is done for all at once'))
            await job.run(jobDeps, { dueMs: clock.ms, deadlineMs: clock.ms + 60_000, eachOrg })
          }
        },
      }
    },
  }
}
