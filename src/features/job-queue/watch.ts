import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type Held, LEASE_SECONDS, renew } from './lease.ts'
import { LONGEST_JOB_MS } from './types.ts'

export type Watch = ReturnType<typeof createWatch>

/** Keeps a job for who does it, from now on, and stops them when it is not theirs any more or they take too long. */
export function createWatch(
  deps: Pick<Deps, 'db' | 'now' | 'newId' | 'log'>,
  held: Held,
  { heartbeatMs }: { heartbeatMs: number },
) {
  const stop = new AbortController()
  const stopped = Promise.withResolvers<never>()
  // Nobody may be waiting for it any more.
  stopped.promise.catch(() => {})
  let isLost = false
  let heldUntilMs = deps.now() + LEASE_SECONDS * 1000

  const stopFor = (reason: AppError): void => {
    stop.abort(reason)
    stopped.reject(reason)
  }
  const lose = (): AppError => {
    isLost = true
    const reason = new AppError('conflict', 'This job was cancelled, or somebody else does it now.')
    stopFor(reason)
    return reason
  }
  /** Throws when the job is somebody else's, or nobody's. */
  const keep = async (news: Parameters<typeof renew>[2]): Promise<void> => {
    const untilMs = deps.now() + LEASE_SECONDS * 1000
    if (isLost || !(await renew(deps, held, news))) throw lose()
    heldUntilMs = untilMs
  }
  const beat = setInterval(() => {
    keep({}).catch((cause: unknown) => {
      if (isLost) return
      deps.log.warn('job_lease_not_renewed', { job_id: held.jobId, cause: String(cause) })
      // From here on somebody else may have begun.
      if (deps.now() >= heldUntilMs) lose()
    })
  }, heartbeatMs)

  return {
    signal: stop.signal,
    /** Whether nothing that is done from here on counts. */
    isLost: () => isLost,
    /** A share of nothing is none. */
    progress: (share: number, detail?: Record<string, unknown>): Promise<void> =>
      keep({ progress: Math.min(1, Math.max(0, share)) || 0, ...(detail && { detail }) }),
    /** What the work comes to, or why it was stopped; whoever does not listen is left behind. */
    async within<T>(limitMs: number, run: () => Promise<T>): Promise<T> {
      const atMostMs = Math.min(limitMs, LONGEST_JOB_MS)
      const timer = setTimeout(
        () => stopFor(new AppError('upstream_timeout', `This took longer than ${Math.ceil(atMostMs / 1000)} s.`)),
        atMostMs,
      )
      try {
        return await Promise.race([run(), stopped.promise])
      } catch (error) {
        // Of what it has begun side by side, some may go on.
        stop.abort(error)
        throw error
      } finally {
        clearTimeout(timer)
      }
    },
    close: () => clearInterval(beat),
  }
}
