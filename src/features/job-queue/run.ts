import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { covers } from '../../core/roles.ts'
import type { WorkMessage } from '../../core/work.ts'
import { ctxFor, policyFor } from './caller.ts'
import { failureOf } from './failure.ts'
import { claim, end, type Held, putBack } from './lease.ts'
import { keepResult } from './result.ts'
import type { JobRow } from './rows.ts'
import { send } from './start.ts'
import type { JobHandler } from './types.ts'
import { createWatch, type Watch } from './watch.ts'

const MOST_ATTEMPTS = 3
const FIRST_DELAY_SECONDS = 60

/** How often somebody says that they are still at it; see `LEASE_SECONDS`. */
const HEARTBEAT_MS = 30_000

export type Runner = { deps: Deps; handlers: readonly JobHandler[]; heartbeatMs?: number }

/**
 * Makes one attempt at a job, if it is due and nobody else is at it, and writes down what came of it. When this is back,
 * the row tells all. Throws `DependencyError('postgres')` when it could not be read or written: then the message must
 * come again.
 */
export async function runMessage(runner: Runner, message: WorkMessage): Promise<void> {
  const { deps } = runner
  const row = await claim(deps, message)
  if (!row) return
  const held: Held = { orgId: row.org_id, jobId: row.id, leaseId: row.lease_id ?? '' }
  const startedMs = deps.now()
  const deferred: Promise<unknown>[] = []
  const report = (cause: unknown) => deps.log.error('deferred_work_failed', { job_id: row.id, cause })
  const defer = (work: Promise<unknown>): void => void deferred.push(work.catch(report))
  const watch = createWatch(deps, held, { heartbeatMs: runner.heartbeatMs ?? HEARTBEAT_MS })
  let outcome: string
  try {
    outcome = await attempt(runner, row, { held, watch, defer })
  } finally {
    watch.close()
    while (deferred.length > 0) await Promise.all(deferred.splice(0))
  }
  const { id: job_id, org_id, kind, attempts } = row
  deps.log.info('job_attempted', { job_id, org_id, kind, attempts, outcome, ms: deps.now() - startedMs })
}

type Around = { held: Held; watch: Watch; defer: (work: Promise<unknown>) => void }

async function attempt(runner: Runner, row: JobRow, around: Around): Promise<string> {
  const { deps, handlers } = runner
  const { held, watch } = around
  const handler = handlers.find(({ kind }) => kind === row.kind)
  const most = handler?.maxAttempts ?? MOST_ATTEMPTS
  try {
    // Attempts that nobody came back from count: what ends its Worker must not do so for ever.
    if (row.attempts > most) throw new Error(`${row.attempts - 1} attempts came to no end`)
    if (!handler) throw new Error(`nobody here does ${row.kind}`)
    const result = await work(deps, handler, { row, ...around })
    const kept = await keepResult(deps, held, result)
    if (await end(deps, held, kept)) return 'completed'
    if (kept.resultKey !== null) await deps.bucket.remove([kept.resultKey])
    return 'lost'
  } catch (thrown) {
    if (watch.isLost()) return 'lost'
    const { error, isRetryable } = failureOf(thrown, row.id, deps.log)
    if (!isRetryable || row.attempts >= most) {
      return (await end(deps, held, { status: 'failed', error })) ? 'failed' : 'lost'
    }
    const delaySeconds = FIRST_DELAY_SECONDS * 2 ** (row.attempts - 1)
    if (!(await putBack(deps, held, { error, delaySeconds }))) return 'lost'
    await send(deps, { job_id: row.id, org_id: row.org_id }, delaySeconds)
    return 'put_back'
  }
}

async function work(deps: Deps, handler: JobHandler, { row, watch, defer }: Around & { row: JobRow }) {
  const policy = await policyFor(deps, row)
  if (!policy) throw denied('The credential that asked for this is not valid any more.')
  requireScope(policy, handler)
  const input = handler.input.safeParse(row.input)
  if (!input.success) throw new AppError('invalid_request', 'This is not what such a job takes any more.')
  const { signal } = watch
  const ctx = ctxFor(deps, policy, { signal, defer })
  const { id: jobId, priority, detail } = row
  const { progress } = watch
  return watch.within(handler.limitMs, () =>
    handler.run({ ctx, jobId, input: input.data, priority, detail: detail ?? undefined, signal, progress }),
  )
}

function requireScope({ scopes }: Policy, { scope }: JobHandler): void {
  if (scope !== undefined && !covers(scopes, scope)) throw denied(`This credential lacks the scope ${scope}.`)
}

const denied = (message: string) => new AppError('permission_denied', message)
