import type { Admission, AdmissionRequest, Policy } from '../../core/admission.ts'
import type { AppError } from '../../core/errors.ts'
import { isIpAllowed } from '../../core/ip-rules.ts'
import { covers } from '../../core/roles.ts'
import { invalidCredential, lacksScope, wrongAddress } from './refusals.ts'

type Wish = Pick<AdmissionRequest, 'scope' | 'ip'>

/** Why a caller may not do what is asked from where they are: a 401 or 403. Undefined when they may. */
export function refusalOf(policy: Policy, { scope, ip }: Wish, nowMs: number): AppError | undefined {
  if (hasExpired(policy, nowMs)) return invalidCredential()
  if (!mayComeFrom(policy, ip)) return wrongAddress()
  return covers(policy.scopes, scope) ? undefined : lacksScope(policy, scope)
}

/** The same admission, if its caller may do what is asked from where they are. Throws 401 and 403. */
export function authorise(admission: Admission, wish: Wish, nowMs: number): Admission {
  const refusal = refusalOf(admission.policy, wish, nowMs)
  if (refusal) throw refusal
  return admission
}

const hasExpired = ({ expiresAt }: Policy, nowMs: number) => expiresAt !== undefined && expiresAt * 1000 <= nowMs

const mayComeFrom = ({ allowedIps }: Policy, ip: string) => allowedIps === undefined || isIpAllowed(allowedIps, ip)
