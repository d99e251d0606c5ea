import { heldBy, heldByOperators, isRole, lesserRole, type Role } from '../../core/roles.ts'
import type { Audience } from '../signing/service.ts'

/** What a person may be in a session: no more than the membership says, and no more than the session was opened for. */
export const roleIn = (role: Role, maxRole: unknown): Role => (isRole(maxRole) ? lesserRole(role, maxRole) : role)

/** What a session may do: the scopes of its role and its markers, or an operator's. */
export function scopesOfSession({ audience, role }: { audience: Audience; role: Role }): string[] {
  return [...(audience === 'helix-admin' ? heldByOperators : heldBy(role))]
}
