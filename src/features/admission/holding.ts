import type { Admission, AdmissionRequest, Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { type HoldAnswer, type HoldRequest, mayHaveToWait } from '../../core/ledger.ts'
import { redisKeys } from './keys.ts'
import { BUSY_MS, placesOf, withoutPlace } from './places.ts'
import { budgetUnavailable, limitError, overloaded, quotaError, unknownRun } from './refusals.ts'

/** Of a request what a hold goes by: a call that is made inside another has it, too. */
export type Holder = Pick<AdmissionRequest, 'requestId' | 'defer' | 'signal'> & {
  /** The request inside which it is made. */
  parentRequestId?: string
}

/** The hold of a call, where a hard budget or a limit of concurrency applies to its caller. */
export function holdRequest(
  policy: Policy,
  { requestId, parentRequestId }: Pick<Holder, 'requestId' | 'parentRequestId'>,
  { hold, candidates }: Ask,
): HoldRequest | undefined {
  if (!hold) return undefined
  const { orgId: org_id, keyId: key_id, userId: user_id = null, agentId: agent_id = null } = policy
  const { facts, priority, ...rest } = hold
  const own = { ...facts, request_id: requestId, org_id, key_id, user_id, agent_id }
  const held = { ...rest, facts: parentRequestId === undefined ? own : { ...own, parent_request_id: parentRequestId } }
  return { ...held, ...placesOf(policy, candidates, priority) }
}

/** The same, drawn on what the ledger has left this isolate, where it has. Without Redis nobody would know of such a call. */
export const drawn = (deps: Pick<Deps, 'ledgerOf'>, hold: HoldRequest | undefined): HoldRequest | undefined =>
  hold && deps.ledgerOf(hold.facts.org_id).draw(hold)

/** False for a hold that is a place among the calls under way and nothing else. */
export const holdsMoney = ({ budgets, facts }: HoldRequest): boolean =>
  facts.run_id !== null || budgets.some(({ soft }) => !soft)

/**
 * What is held for the call. Throws 429 where the ledger refuses it, 400 where it knows no such run, and 503 where there
 * is no place for it in its time, or money must be held and the ledger does not answer; without it nobody counts what is
 * under way.
 */
export function requireHeld(
  { policy, hold, asked, nowMs }: { policy: Policy; hold: HoldRequest | undefined; asked: Ask; nowMs: number },
  answer: PromiseSettledResult<HoldAnswer | undefined>,
): Pick<Admission, 'held' | 'run' | 'usedUp'> {
  if (!hold) return { held: false }
  if (answer.status === 'rejected') {
    if (holdsMoney(hold)) throw budgetUnavailable(answer.reason)
    return { held: true }
  }
  const { value } = answer
  if (!value) return { held: false }
  if (value.ok) return { held: true, ...runOf(hold, value), usedUp: new Map(withoutPlace(value, nowMs)) }
  if ('budgetId' in value) throw quotaError(value.budgetId)
  if ('runId' in value) throw unknownRun(value.runId)
  if (value.retryAfterMs !== undefined) throw overloaded(value.limitId, value.retryAfterMs)
  const limit = policy.limits.find(({ id }) => id === value.limitId)
  if (!limit) throw new TypeError('admission: the ledger named a limit that was not asked')
  throw limitError({ limit, retryMs: BUSY_MS, remaining: 0, resetMs: BUSY_MS }, asked)
}

function runOf({ facts }: HoldRequest, { runBudgets }: HoldAnswer & { ok: true }): Pick<Admission, 'run'> {
  if (facts.run_id === null) return {}
  // A ledger of an earlier release holds nothing for a run.
  if (runBudgets === undefined) throw budgetUnavailable(new Error('the ledger told nothing of the run'))
  return { run: { id: facts.run_id, budgets: runBudgets } }
}

type Asking = { deps: Deps; request: Holder; mayWait?: () => Promise<boolean> }

/**
 * The ledger's answer. Where there is no place for the call it comes late; a caller who leaves meanwhile, or whom Redis
 * does not admit, waits no more.
 */
export async function askForHold({ deps, request, mayWait }: Asking, hold: HoldRequest): Promise<HoldAnswer> {
  const ledger = deps.ledgerOf(hold.facts.org_id)
  if (!mayHaveToWait(hold)) return ledger.hold(hold)
  const id = hold.facts.request_id
  let isOver = false
  const leave = (): void => {
    if (!isOver) request.defer(ledger.release(id, true))
  }
  request.signal?.addEventListener('abort', leave)
  const answering = ledger.hold(hold).finally(() => {
    isOver = true
    request.signal?.removeEventListener('abort', leave)
  })
  if (request.signal?.aborted) leave()
  // The platform ends what a caller who has left was waiting for, unless it was told that there is more to do.
  request.defer(answering.catch(() => undefined))
  if (mayWait && !(await mayWait()) && !isOver) request.defer(ledger.release(id))
  return answering
}

/** The call will not be made: what it may hold is free again, also where the ledger's answer got lost. */
export async function withdraw(deps: Deps, hold: HoldRequest): Promise<void> {
  await deps.ledgerOf(hold.facts.org_id).release(hold.facts.request_id, true)
}

/** What was held under a policy that is no longer the caller's must be gone before the call holds again. */
export async function withdrawBefore(deps: Deps, hold: HoldRequest): Promise<void> {
  try {
    await deps.ledgerOf(hold.facts.org_id).release(hold.facts.request_id)
  } catch (cause) {
    if (holdsMoney(hold)) throw budgetUnavailable(cause)
  }
}

/**
 * The script noted this call as holding money, but the ledger refused it. Where Redis does not answer the ledger takes it
 * off with its batches; left there it is only read after a crash.
 */
export async function forgetOpen(deps: Deps, hold: HoldRequest): Promise<void> {
  try {
    await deps.redis.pipeline([['HDEL', redisKeys.open(hold.facts.org_id), [hold.facts.request_id]]])
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    await withdraw(deps, hold)
  }
}
