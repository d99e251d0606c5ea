import type { Ctx } from '../../core/context.ts'
import type { JobFields } from './schema.ts'
import type { WantedJob } from './start.ts'

export type { JobFields as JobView } from './schema.ts'
export type { WantedJob } from './start.ts'
export { type JobHandler, type JobWork, LONGEST_JOB_MS } from './types.ts'

/**
 * Has something done after the answer: a row, and a message to whoever does it. The row is what counts: once this is
 * back the job will be done, whatever becomes of the message. `kind` is that of a handler in `features/work.ts`, and
 * `input` what its schema takes; it can be read by whoever reads the database.
 * Throws 409 `conflict` for an organisation that has a thousand which are not done, and `DependencyError('postgres')`;
 * then there is no job.
 */
export async function startJob(ctx: Ctx, wanted: WantedJob): Promise<JobFields> {
  return (await import('./start.ts')).start(ctx, wanted)
}

/** 202 with the job and where to ask for it. */
export const answerLater = (job: JobFields): Response =>
  Response.json(job, { status: 202, headers: { location: `/api/v1/jobs/${job.id}` } })

/** Whether the caller would rather have a job than wait (RFC 7240, `respond-async`). */
export const wantsLater = ({ headers }: Request): boolean =>
  (headers.get('prefer') ?? '').split(',').some((wish) => /^\s*respond-async\s*(?:;|$)/i.test(wish))
