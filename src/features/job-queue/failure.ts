import type { Log } from '../../core/context.ts'
import { AppError, DependencyError, errorCodes } from '../../core/errors.ts'
import type { JobError } from './table.ts'

/** What the caller may know of an attempt that failed, and whether another one may go better. */
export type Failure = { error: JobError; isRetryable: boolean }

/** What nobody may know goes into the log under the job's id. */
export function failureOf(thrown: unknown, jobId: string, log: Log): Failure {
  if (thrown instanceof AppError) {
    const { code, message, status, retryable } = thrown
    return { error: { code, message: storable(message), status }, isRetryable: retryable }
  }
  if (thrown instanceof DependencyError) {
    log.error('dependency_failed', { job_id: jobId, dependency: thrown.dependency, cause: String(thrown.cause) })
    return shown('dependency_unavailable', 'Something that this gateway needs did not answer.')
  }
  const stack = thrown instanceof Error ? thrown.stack : undefined
  log.error('job_crashed', { job_id: jobId, cause: String(thrown), stack })
  return shown('internal', `Something went wrong on our side. Quote ${jobId} when you report it.`)
}

const shown = (code: 'dependency_unavailable' | 'internal', message: string): Failure => ({
  error: { code, message, status: errorCodes[code].status },
  isRetryable: true,
})

/** A vendor's words are part of some messages. */
const storable = (text: string): string => text.replaceAll('\0', '').toWellFormed()
