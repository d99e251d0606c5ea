import { AppError } from '../../core/errors.ts'

/** In UTF-16 units, as clients count. */
export const MAX_EMBED_CHARS = 10_000
export const MAX_TEXT_CHARS = 1_000_000
export const MAX_QUERY_CHARS = 2000
/** That models read, window by window. */
export const MAX_READ_CHARS = 20_000
/** All documents of one order together. */
export const MAX_RANKED_CHARS = 200_000
export const MAX_BATCH = 100
/** Chunks that a caller has cut themselves. */
export const MAX_OWN_CHUNKS = 2000
/** Of an organisation. */
export const MAX_CHUNKS = 1_000_000
/** More of them are embedded after the answer. */
export const MOST_AT_ONCE = 200

/** 422 for an input that is never cut silently. */
export const tooLong = (field: string, { limit, length }: { limit: number; length: number }): AppError =>
  new AppError('too_long', `${field} has a length of ${length}, and may have ${limit}.`, {
    param: field,
    fields: [{ pointer: `/${field.replaceAll('.', '/')}`, detail: `is longer than ${limit}` }],
    details: { limit, length },
  })

/** Throws 422 `too_long`. */
export function requireLength(field: string, text: string, limit: number): void {
  if (text.length > limit) throw tooLong(field, { limit, length: text.length })
}
