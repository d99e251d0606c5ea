import type { StoredFile } from '../../core/bucket.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { keyOf, readUpload } from './rows.ts'
import type { Upload } from './service.ts'

/** See `openUpload`. */
export async function open(ctx: Ctx, id: string): Promise<Upload> {
  const row = await readUpload(ctx, id)
  const { status, filename, mime, size_bytes: sizeBytes } = row
  if (status !== 'ready' || sizeBytes === null) {
    throw new AppError('conflict', `The upload has no content yet: PUT /api/v1/uploads/${id}/content.`, {
      param: 'upload_id',
    })
  }
  const file = async (): Promise<StoredFile> => {
    const found = await ctx.bucket.get(keyOf(row))
    if (!found) throw notFound('upload')
    return found
  }
  return {
    filename: filename ?? undefined,
    mime: mime ?? undefined,
    sizeBytes,
    bytes: async () => (await file()).bytes(),
    stream: async () => (await file()).stream(),
  }
}
