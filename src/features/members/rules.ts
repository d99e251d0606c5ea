import type { Caller } from '../../core/context.ts'
import { lesserRole, type Role, reaches, reachOf } from '../../core/roles.ts'

/**
 * The role that a call has over people. An API key never acts as an owner: what owners alone may do needs an owner who
 * is signed in. A key that nobody stands behind was made by whoever runs the installation.
 */
export function actingRole({ kind, role }: Pick<Caller, 'kind' | 'role'>): Role {
  if (kind === 'api_key') return lesserRole(role ?? 'admin', 'admin')
  return role ?? 'readonly'
}

/** Nobody grants a role above their own, and a key none that can do more than the key itself. */
export function mayGrant(caller: Pick<Caller, 'kind' | 'role' | 'scopes'>, granted: Role): boolean {
  const reach = reachOf(caller)
  return reach !== undefined && reaches(reach, granted)
}

/** Nobody changes someone above themselves, so owners are changed by owners only. */
export const mayTouch = (acting: Role, target: Role): boolean => reaches(acting, target)
