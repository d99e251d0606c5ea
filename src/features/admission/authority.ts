import type { Admission, AdmissionRequest, Policy } from '../../core/admission.ts'
import { covers } from '../../core/roles.ts'
import { invalidKey, lacksScope } from './refusals.ts'

/** The same admission, if its key may do what is asked. Throws 401 and 403. */
export function authorise(admission: Admission, request: Pick<AdmissionRequest, 'scope'>, nowMs: number): Admission {
  if (expired(admission.policy, nowMs)) throw invalidKey()
  if (!covers(admission.policy.scopes, request.scope)) throw lacksScope(request.scope)
  return admission
}

/** Nothing is asked, held or charged in tokens for a key that `authorise` will refuse. */
export const isAuthorised = (policy: Policy, { scope }: Pick<AdmissionRequest, 'scope'>, nowMs: number): boolean =>
  !expired(policy, nowMs) && covers(policy.scopes, scope)

const expired = (policy: Policy, nowMs: number) => policy.expiresAt !== undefined && policy.expiresAt * 1000 <= nowMs
