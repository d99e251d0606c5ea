import type { Admission, AdmissionRequest, Policy } from '../../core/admission.ts'
import { isIpAllowed } from '../../core/ip-rules.ts'
import { covers } from '../../core/roles.ts'
import { invalidCredential, lacksScope, wrongAddress } from './refusals.ts'

type Wish = Pick<AdmissionRequest, 'scope' | 'ip'>

/** The same admission, if its caller may do what is asked from where they are. Throws 401 and 403. */
export function authorise(admission: Admission, { scope, ip }: Wish, nowMs: number): Admission {
  const { policy } = admission
  if (hasExpired(policy, nowMs)) throw invalidCredential()
  if (!mayComeFrom(policy, ip)) throw wrongAddress()
  if (!covers(policy.scopes, scope)) throw lacksScope(policy, scope)
  return admission
}

/** Nothing is asked, held or charged in tokens for a caller whom `authorise` will refuse. */
export const isAuthorised = (policy: Policy, { scope, ip }: Wish, nowMs: number): boolean =>
  !hasExpired(policy, nowMs) && mayComeFrom(policy, ip) && covers(policy.scopes, scope)

const hasExpired = ({ expiresAt }: Policy, nowMs: number) => expiresAt !== undefined && expiresAt * 1000 <= nowMs

const mayComeFrom = ({ allowedIps }: Policy, ip: string) => allowedIps === undefined || isIpAllowed(allowedIps, ip)
