import type { AdmissionRequest, Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import { redisKeys } from './keys.ts'

/** The hold of a call, where a hard budget applies to its caller. */
export function holdRequest(policy: Policy, request: AdmissionRequest, { hold }: Ask): HoldRequest | undefined {
  if (!hold) return undefined
  const { orgId: org_id, keyId: key_id, userId: user_id = null } = policy
  return { ...hold, facts: { ...hold.facts, request_id: request.requestId, org_id, key_id, user_id } }
}

/** The call will not be made: what it may hold is free again, also where the ledger's answer got lost. */
export async function withdraw(deps: Deps, hold: HoldRequest): Promise<void> {
  await deps.ledgerOf(hold.facts.org_id).release(hold.facts.request_id)
}

/** The script noted this call as holding money, but the ledger refused it. Left there, it is only read after a crash. */
export async function forgetOpen(deps: Deps, hold: HoldRequest): Promise<void> {
  try {
    await deps.redis.pipeline([['HDEL', redisKeys.open(hold.facts.org_id), [hold.facts.request_id]]])
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
  }
}
