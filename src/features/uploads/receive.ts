import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import { claimAttempt, keyOf, markReady, readUpload, type UploadRow } from './rows.ts'

const LENGTH = /^\d{1,15}$/

/**
 * Takes the bytes of an upload, straight into the bucket. Throws 404; 400 without a length or a body, and where it breaks
 * off; 413 for more than was announced; 409 where they are there already, or somebody else began to send them since;
 * `DependencyError('bucket')`.
 */
export async function receive(ctx: Ctx, id: string, request: Request): Promise<UploadRow> {
  const announced = await readUpload(ctx, id)
  if (announced.status === 'ready') throw new AppError('conflict', 'The bytes of this upload are there already.')
  const sizeBytes = lengthOf(request, announced.size_bytes ?? 0)
  const { body } = request
  if (!body) throw bodyless()
  const row = await claimAttempt(ctx, id)
  const key = keyOf(row)
  const { sha256 } = await keep(ctx, key, { body, sizeBytes, contentType: row.mime ?? undefined })
  try {
    return await markReady(ctx, row, { sizeBytes, sha256 })
  } catch (error) {
    // Nobody will read what lost, and without the row nobody would know that there is anything to remove.
    if (error instanceof AppError) await ctx.bucket.remove([key])
    throw error
  }
}

async function keep({ bucket }: Ctx, key: string, file: Parameters<Ctx['bucket']['put']>[1]) {
  try {
    return await bucket.put(key, file)
  } catch (cause) {
    if (cause instanceof DependencyError) throw cause
    throw new AppError('invalid_request', 'The body ended before it was complete.', { cause })
  }
}

function lengthOf({ headers }: Request, mostBytes: number): number {
  const length = headers.get('content-length')
  if (length === null || !LENGTH.test(length)) {
    throw new AppError('invalid_request', 'Say with content-length how many bytes are coming.')
  }
  const sizeBytes = Number(length)
  if (sizeBytes === 0) throw bodyless()
  if (sizeBytes > mostBytes) {
    throw new AppError('payload_too_large', `This upload was announced with ${mostBytes} bytes at the most.`)
  }
  return sizeBytes
}

const bodyless = () => new AppError('invalid_request', 'A body is required.')
