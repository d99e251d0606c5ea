import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps, JobOutcome, JobRun } from './core/jobs.ts'
import { metricsKey } from './features/ledger/service.ts'

/** Cloudflare ends a scheduled run after fifteen minutes. */
const ALL_LIMIT_MS = 14 * 60_000
const JOB_LIMIT_MS = 4 * 60_000
const ORGS_PAGE = 500
/** A Worker may wait for six responses at once. */
const ORGS_AT_ONCE = 4

/** The jobs that are due at this time, in their order. */
export const dueJobs = (jobs: readonly Job[], dueMs: number): Job[] =>
  jobs.filter(({ hourUtc }) => hourUtc === 'every' || hourUtc === new Date(dueMs).getUTCHours())

/** Runs what is due, one after the other; what fails keeps nothing else from running. Never throws. */
export async function runDueJobs(deps: JobDeps, jobs: readonly Job[], dueMs: number): Promise<void> {
  const endMs = deps.now() + ALL_LIMIT_MS
  for (const job of dueJobs(jobs, dueMs)) {
    if (deps.now() < endMs) await runJob(deps, job, { dueMs, endMs })
    else deps.log.error('job_skipped', { name: job.name })
  }
}

/**
 * Runs one job, whether or not it is due, and tells how it went in the log and the counters. A job that throws has
 * failed once. `endMs` cuts its time short. Never throws.
 */
export async function runJob(
  given: JobDeps,
  job: Job,
  { dueMs, endMs = Number.POSITIVE_INFINITY }: { dueMs: number; endMs?: number },
): Promise<JobOutcome> {
  const { name } = job
  const { deps, queries } = countingQueries(given)
  const startedMs = deps.now()
  const deadlineMs = Math.min(endMs, startedMs + (job.limitMs ?? JOB_LIMIT_MS))
  const run: JobRun = {
    dueMs,
    deadlineMs,
    eachOrg: (work) => forEachOrg(deps, { name, deadlineMs }, work),
  }
  let outcome: JobOutcome
  try {
    outcome = await job.run(deps, run)
  } catch (cause) {
    deps.log.error('job_failed', { name, cause })
    outcome = { done: 0, failed: 1 }
  }
  const ms = deps.now() - startedMs
  deps.log.info('job_finished', { name, ms, ...outcome, system_queries: queries() })
  await count(deps, name, { ...outcome, queries: queries() })
  return outcome
}

type Walk = { name: string; deadlineMs: number }

async function forEachOrg(
  deps: JobDeps,
  { name, deadlineMs }: Walk,
  work: (orgId: string) => Promise<void>,
): Promise<JobOutcome> {
  const outcome = { done: 0, failed: 0 }
  const workOnOne = async (orgId: string): Promise<void> => {
    try {
      await work(orgId)
      outcome.done += 1
    } catch (cause) {
      outcome.failed += 1
      deps.log.error('job_org_failed', { name, org_id: orgId, cause })
    }
  }
  for (let after = ''; ; ) {
    const page = await orgsAfter(deps, after)
    const waiting = [...page]
    const worker = async (): Promise<void> => {
      for (;;) {
        const orgId = deps.now() < deadlineMs ? waiting.shift() : undefined
        if (orgId === undefined) return
        await workOnOne(orgId)
      }
    }
    await Promise.all(Array.from({ length: ORGS_AT_ONCE }, worker))
    after = page.at(-1) ?? after
    if (waiting.length > 0) {
      const [row] = await deps.system.query(sql`select count(*)::int as left from orgs where id > ${after}`)
      deps.log.error('job_out_of_time', { name, left: waiting.length + Number(row?.left) })
      return outcome
    }
    if (page.length < ORGS_PAGE) return outcome
  }
}

async function orgsAfter({ system }: JobDeps, after: string): Promise<string[]> {
  const rows = await system.query(sql`select id from orgs where id > ${after} order by id limit ${ORGS_PAGE}`)
  return rows.map(({ id }) => String(id))
}

/** The same dependencies, with what crosses organisations counted. */
function countingQueries(given: JobDeps): { deps: JobDeps; queries: () => number } {
  let queries = 0
  const system: JobDeps['system'] = {
    query(statement) {
      queries += 1
      return given.system.query(statement)
    },
  }
  return { deps: { ...given, system }, queries: () => queries }
}

async function count(
  { redis, log }: JobDeps,
  name: string,
  { failed, queries }: JobOutcome & { queries: number },
): Promise<void> {
  const increments: [metric: string, amount: number][] = [
    ['helix_jobs_total', 1],
    ['helix_job_failures_total', failed],
    ['helix_system_queries_total', queries],
  ]
  try {
    await redis.pipeline(
      increments.map(([metric, amount]) => ['HINCRBY', metricsKey(), `${metric}{job="${name}"}`, amount]),
    )
  } catch (cause) {
    log.warn('job_counters_lost', { name, cause })
  }
}
