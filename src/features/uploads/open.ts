import type { FilePart, StoredFile } from '../../core/bucket.ts'
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
  const file = async (part?: FilePart): Promise<StoredFile> => {
    const found = await ctx.bucket.get(keyOf(row), part)
    if (!found) throw notFound('upload')
    return found
  }
  return {
    filename: filename ?? undefined,
    mime: mime ?? undefined,
    sizeBytes,
    sha256: row.sha256 ?? undefined,
    bytes: async () => (await file()).bytes(),
    part: async (from, to) => (to > from ? (await file({ from, bytes: to - from })).bytes() : new Uint8Array()),
    stream: async () => (await file()).stream(),
  }
}
