import type { Ctx } from '../../core/context.ts'

/** A file that somebody has sent. Its bytes are read by one of the three, as often as needed. */
export type Upload = {
  filename: string | undefined
  /** What its sender says it is. */
  mime: string | undefined
  sizeBytes: number
  /** Of its bytes, in hexadecimal. */
  sha256: string | undefined
  bytes(): Promise<Uint8Array>
  /** From one place to another, both within it. */
  part(from: number, to: number): Promise<Uint8Array>
  stream(): Promise<ReadableStream<Uint8Array>>
}

/**
 * The file behind an `upl_…`. Throws 404 `not_found` for one that is of another organisation or caller, or is over, and
 * 409 `conflict` for one whose bytes have not come. Reading throws `DependencyError('bucket')`, and 404 where they are gone.
 */
export async function openUpload(ctx: Ctx, id: string): Promise<Upload> {
  return (await import('./open.ts')).open(ctx, id)
}

export type NewUpload = { filename: string; mime: string; bytes: Uint8Array }

/**
 * Keeps a file that came with a call for a job of the same caller, as if it had been uploaded: for a day.
 * @returns its `upl_…`; throws 409 `conflict` where an organisation has a thousand, and `DependencyError('bucket')`
 */
export async function storeUpload(ctx: Ctx, file: NewUpload): Promise<string> {
  return (await import('./store.ts')).store(ctx, file)
}
