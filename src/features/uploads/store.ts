import type { Ctx } from '../../core/context.ts'
import { insertUpload, keyOf, markReady } from './rows.ts'
import type { NewUpload } from './service.ts'

/** See `storeUpload`. */
export async function store(ctx: Ctx, { filename, mime, bytes }: NewUpload): Promise<string> {
  const sizeBytes = bytes.length
  const row = await insertUpload(ctx, { filename, content_type: mime, size_bytes: sizeBytes }, 'with a call')
  const { sha256 } = await ctx.bucket.put(keyOf(row), { body: bytes, sizeBytes, contentType: mime })
  await markReady(ctx, row, { sizeBytes, sha256 })
  return row.id
}
