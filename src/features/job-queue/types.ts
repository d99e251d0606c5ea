import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import type { AreaScope } from '../../core/roles.ts'
import type { Priority } from '../../core/routing.ts'

/** One attempt at a job. */
export type JobWork<I> = {
  /** As a request of the credential that asked for it, with what that may do today. `ctx.signal` is `signal`. */
  ctx: Ctx
  /** The same in every attempt: what an attempt leaves behind must be named by it, so that the next finds it. */
  jobId: string
  input: I
  priority: Priority
  /** What the attempt before has said last of where it is. */
  detail: Record<string, unknown> | undefined
  /** Aborted when the job is cancelled, has taken too long, or was given to somebody else. */
  signal: AbortSignal
  /**
   * Says how far it is (0 to 1) and, for people, where. Renews the lease. Each call is a statement: not for every byte.
   * Throws when the job is not this attempt's any more; then it must end, and nothing of it counts.
   */
  progress(share: number, detail?: Record<string, unknown>): Promise<void>
}

/**
 * How jobs of a kind are done. An attempt may be cut off anywhere, and for a moment two may run: whatever one leaves
 * behind must be keyed by the job's id, so that doing it twice comes to the same.
 */
export type JobHandler<I = unknown> = {
  /** `vision.batch`, `models.pull`. */
  kind: string
  input: z.ZodType<I>
  /** What the credential must still hold when the work begins. */
  scope?: AreaScope
  /** At most `LONGEST_JOB_MS`. What takes longer goes on in the next attempt. */
  limitMs: number
  /** 3 unless said. Only what may go better another time is tried again. */
  maxAttempts?: number
  /** @returns the result, as JSON */
  run(work: JobWork<I>): Promise<unknown>
}

/** Cloudflare ends a consumer after fifteen minutes; the last one is for writing down what came of it. */
export const LONGEST_JOB_MS = 14 * 60_000
