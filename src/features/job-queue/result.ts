import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type End, type Held, MOST_IN_ROW_BYTES } from './lease.ts'

/** A body of an answer has to fit into an isolate a few times. */
const MOST_BYTES = 16 * 1024 * 1024
/** What Postgres refuses in JSON: NUL, and half a surrogate pair. */
const UNSTORABLE = /\\u(?:0000|d[89a-f])/i

/**
 * Puts a result where it belongs: into the row, or into the bucket where it is large, or holds what no row can. Throws 422
 * `too_long` beyond 16 MB, and `DependencyError('bucket')`.
 */
export async function keepResult(
  { bucket }: Pick<Ctx, 'bucket'>,
  { orgId, jobId, leaseId }: Held,
  result: unknown,
): Promise<End & { status: 'completed' }> {
  const text = JSON.stringify(result ?? null)
  const body = new TextEncoder().encode(text)
  if (body.length > MOST_BYTES) {
    throw new AppError('too_long', `The result has ${body.length} bytes, and at most ${MOST_BYTES} are kept.`)
  }
  if (body.length <= MOST_IN_ROW_BYTES && !UNSTORABLE.test(text)) {
    return { status: 'completed', result: result ?? null, resultKey: null }
  }
  // Whoever loses the lease must not put theirs in place of what has ended the job.
  const resultKey = `${orgId}/jobs/${jobId}/${leaseId}`
  await bucket.put(resultKey, { body, sizeBytes: body.length, contentType: 'application/json' })
  return { status: 'completed', result: null, resultKey }
}
