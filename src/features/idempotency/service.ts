import type { Once } from '../../core/once.ts'

/**
 * What makes a call with an `Idempotency-Key` run once. The key belongs to the credential and the path.
 *
 * - Only what succeeded is kept, for 24 hours: a call that was refused or failed may be repeated with the same key and
 *   then runs again.
 * - An answer that is a stream, no JSON, or longer than a million characters is not kept, but that it was given is: a
 *   repetition gets 409 `conflict`, so that nobody pays twice without meaning to.
 * - A call whose isolate dies says nothing of how far it got. Its repetitions get 409 `idempotency_in_progress` for
 *   15 minutes, and run after that.
 */
export function createOnce(): Once {
  return async (ctx, call, run) => {
    // Loaded by the first call with a key: most have none.
    const { runOnce } = await import('./run-once.ts')
    return runOnce(ctx, call, run)
  }
}
