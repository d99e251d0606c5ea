import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps, JobOutcome, JobRun } from './core/jobs.ts'
import { metricsKey } from './features/ledger/service.ts'

/** Cloudflare ends a scheduled run after fifteen minutes. */
const ALL_LIMIT_MS = 14 * 60_000
const JOB_LIMIT_MS = 4 * 60_000
const ORGS_PAGE = 500
/** A Worker may wait for six responses at once. */
const ORGS_AT_ONCE = 4

/** When the platform calls: at half past every hour, and every five minutes for what cannot wait so long. */
export const OFTEN = '*/5 * * * *'

/** What is run by one of the two. */
export const runBy = (cron: string, jobs: readonly Job[]): readonly Job[] =>
  jobs.filter(({ hourUtc }) => (hourUtc === 'often') === (cron === OFTEN))

/**
 * Runs what is due at this time, and goes on with what earlier hours have left, one after the other; what fails keeps
 * nothing else from running. Never throws.
 */
export async function runDueJobs(deps: JobDeps, jobs: readonly Job[], dueMs: number): Promise<void> {
  const endMs = deps.now() + ALL_LIMIT_MS
  const left = await readLeft(deps)
  // What found no time an hour ago goes first: jobs that are never done must not keep it waiting for ever.
  for (const job of jobs.toSorted((one, other) => turnOf(left, one) - turnOf(left, other))) {
    const start = startOf(job, dueMs, left.get(job.name))
    if (!start) continue
    const isSkipped = deps.now() >= endMs
    if (isSkipped) deps.log.error('job_skipped', { name: job.name })
    const rest = isSkipped ? { ...start, isSkipped } : (await runJob(deps, job, { ...start, endMs })).rest
    await writeLeft(deps, job.name, { rest, wasLeft: left.has(job.name) })
  }
}

/** A run, or what is left of it: the time for which it was due, and the organisation after which it goes on. */
type Start = { dueMs: number; after: string }
type Left = Start & { isSkipped?: boolean }

const turnOf = (left: ReadonlyMap<string, Left>, { name }: Job): number => (left.get(name)?.isSkipped ? 0 : 1)

/** What is new begins at the beginning; what runs every hour goes on where it was, so that it comes round. */
function startOf({ hourUtc }: Job, dueMs: number, left: Start | undefined): Start | undefined {
  if (hourUtc === 'every' || hourUtc === 'often') return { dueMs, after: left?.after ?? '' }
  return hourUtc === new Date(dueMs).getUTCHours() ? { dueMs, after: '' } : left
}

/**
 * Runs one job, whether or not it is due, and tells how it went in the log and the counters. A job that throws has
 * failed once, and all of it is left. `endMs` cuts its time short. Never throws.
 * @returns what was done, and what is left of the run
 */
export async function runJob(
  given: JobDeps,
  job: Job,
  { dueMs, after = '', endMs = Number.POSITIVE_INFINITY }: Partial<Start> & { dueMs: number; endMs?: number },
): Promise<JobOutcome & { rest: Start | undefined }> {
  const { name } = job
  const { deps, queries } = countingQueries(given)
  const startedMs = deps.now()
  const walk: Walk = { name, after, deadlineMs: Math.min(endMs, startedMs + (job.limitMs ?? JOB_LIMIT_MS)) }
  const run: JobRun = {
    dueMs,
    deadlineMs: walk.deadlineMs,
    eachOrg: (work) => forEachOrg(deps, walk, work),
  }
  let outcome: JobOutcome
  try {
    outcome = await job.run(deps, run)
  } catch (cause) {
    deps.log.error('job_failed', { name, cause })
    outcome = { done: 0, failed: 1 }
    walk.leftAfter = after
  }
  const { done, failed } = outcome
  const ms = deps.now() - startedMs
  deps.log.info('job_finished', { name, ms, done, failed, system_queries: queries() })
  await count(deps, name, { done, failed, queries: queries() })
  return { done, failed, rest: walk.leftAfter === undefined ? undefined : { dueMs, after: walk.leftAfter } }
}

type Walk = {
  name: string
  deadlineMs: number
  /** Begins with the organisation after this one. */
  after: string
  /** Set when there was no time for those after this one. */
  leftAfter?: string
}

async function forEachOrg(deps: JobDeps, walk: Walk, work: (orgId: string) => Promise<void>): Promise<JobOutcome> {
  const { name, deadlineMs } = walk
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
  for (let { after } = walk; ; ) {
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
    const done = page.length - waiting.length
    after = page[done - 1] ?? after
    if (waiting.length > 0) {
      walk.leftAfter = after
      deps.log.warn('job_out_of_time', { name, left_after: after })
      return outcome
    }
    if (page.length < ORGS_PAGE) return outcome
  }
}

async function orgsAfter({ system }: JobDeps, after: string): Promise<string[]> {
  const rows = await system.query(sql`select id from orgs where id > ${after} order by id limit ${ORGS_PAGE}`)
  return rows.map(({ id }) => String(id))
}

/** What is left of runs: a field for each job. Lost with Redis, and then for the next run that is due. */
const LEFT_KEY = 'jobs'

async function readLeft({ redis, log }: JobDeps): Promise<Map<string, Left>> {
  try {
    const [fields] = await redis.pipeline([['HGETALL', LEFT_KEY]])
    const entries = fields !== null && typeof fields === 'object' ? Object.entries(fields) : []
    return new Map(
      entries.map(([name, value]) => {
        const [dueMs = '', after = '', skipped] = String(value).split(' ')
        return [name, { dueMs: Number(dueMs), after, isSkipped: skipped !== undefined }]
      }),
    )
  } catch (cause) {
    log.warn('jobs_left_unknown', { cause })
    return new Map()
  }
}

async function writeLeft(
  { redis, log }: JobDeps,
  name: string,
  { rest, wasLeft }: { rest: Left | undefined; wasLeft: boolean },
): Promise<void> {
  try {
    if (rest) {
      const value = `${rest.dueMs} ${rest.after}${rest.isSkipped ? ' skipped' : ''}`
      await redis.pipeline([['HSET', LEFT_KEY, { [name]: value }]])
    }
    if (!rest && wasLeft) await redis.pipeline([['HDEL', LEFT_KEY, [name]]])
  } catch (cause) {
    log.error('job_left_lost', { name, cause })
  }
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
