import type { Ctx } from './context.ts'

export type OnceCall = {
  /** The caller's `Idempotency-Key`, 1 to 255 characters. */
  key: string
  /** Method and path as sent: the same key on another path is another call. */
  route: string
  body: unknown
}

/**
 * Runs a call at most once for its caller, key and route within 24 hours: a repetition gets the stored response, a
 * different body 422 `idempotency_mismatch`, one that is still running 409 `idempotency_in_progress`.
 * Throws `DependencyError('postgres')` when it cannot know; then nothing ran.
 */
export type Once = (ctx: Ctx, call: OnceCall, run: () => Promise<Response>) => Promise<Response>
