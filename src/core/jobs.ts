import type { Deps } from './context.ts'
import type { Row } from './db.ts'
import type { JobSettings } from './settings.ts'

/**
 * Postgres as the role that crosses organisations, for the few statements that must. Every statement is counted. The
 * work on an organisation's rows goes through `db.atomically`, under its row-level security.
 */
export type SystemDatabase = {
  /** Throws `DependencyError('postgres')` when it does not answer. */
  query(statement: Parameters<Deps['db']['query']>[0]): Promise<Row[]>
}

/** What a job can use. */
export type JobDeps = Pick<
  Deps,
  'db' | 'redis' | 'ledgerOf' | 'workQueue' | 'bucket' | 'memory' | 'log' | 'now' | 'newId'
> & {
  settings: JobSettings
  system: SystemDatabase
}

/** What a run has done: organisations, or whatever the job counts. */
export type JobOutcome = { done: number; failed: number }

/** One run of a job. */
export type JobRun = {
  /** Unix milliseconds for which it was due, which may be some time ago: what the job is about follows from it. */
  dueMs: number
  /** Unix milliseconds after which no further piece of work may be begun. */
  deadlineMs: number
  /**
   * Does this for every organisation there is, deleted ones too, a few at a time. One that fails is logged and counted,
   * and the others go on. What the deadline leaves over is done in the next hour, by a run that is due for the same time.
   */
  eachOrg(work: (orgId: string) => Promise<void>): Promise<JobOutcome>
}

/** Scheduled work. It may run twice and may be cut off anywhere: the next run must make that good. */
export type Job = {
  /** In snake_case, as the log and the counters name it. */
  name: string
  /** At half past this hour, every day; `'every'` hour for what is small; `'often'` is every five minutes. */
  hourUtc: number | 'every' | 'often'
  /** How long it may begin further work; four minutes unless said. All jobs of an hour have fourteen together. */
  limitMs?: number
  run(deps: JobDeps, run: JobRun): Promise<JobOutcome>
}
