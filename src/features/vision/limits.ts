import { AppError } from '../../core/errors.ts'

const MB = 1024 * 1024

/** A picture that a model is shown. */
export const MAX_SHOWN_BYTES = 20 * MB
/** A picture that is only to be found again. */
export const MAX_INDEXED_BYTES = 50 * MB
/** All pictures of a batch that come in its body; what is more comes as uploads. */
export const MAX_BATCH_BYTES = 40 * MB
export const MAX_BATCH = 10
/** More pictures of a batch are looked at after the answer. */
export const MOST_AT_ONCE = 4
/** In UTF-16 units, as clients count. */
export const MAX_PROMPT_CHARS = 2000
/** Of an organisation. */
export const MAX_IMAGES = 10_000
/** All attempts together, with the time that a model takes to be loaded. */
export const ANSWER_MS = 120_000
/** Perceptual hashes that differ in no more bits are of nearly the same picture. */
export const NEAR_BITS = 4

/** Throws 422 `too_long`: no prompt is cut. */
export function requirePrompt(field: string, prompt: string): void {
  if (prompt.length <= MAX_PROMPT_CHARS) return
  throw new AppError('too_long', `${field} has a length of ${prompt.length}, and may have ${MAX_PROMPT_CHARS}.`, {
    param: field,
    fields: [{ pointer: `/${field}`, detail: `is longer than ${MAX_PROMPT_CHARS}` }],
    details: { limit: MAX_PROMPT_CHARS, length: prompt.length },
  })
}
