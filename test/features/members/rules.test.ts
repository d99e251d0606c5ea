import { describe, expect, it } from 'vitest'
import { heldBy, type Role, roles, scopesOfRole } from '../../../src/core/roles.ts'
import { actingRole, mayGrant, mayTouch } from '../../../src/features/members/rules.ts'

/** For each role that acts: the roles it may grant and the roles it may change someone of. */
const reach: Record<Role, readonly Role[]> = {
  readonly: ['readonly'],
  member: ['readonly', 'member'],
  admin: ['readonly', 'member', 'admin'],
  owner: ['readonly', 'member', 'admin', 'owner'],
}

const pairs = roles.flatMap((acting) => roles.map((other) => [acting, other, reach[acting].includes(other)] as const))

describe('who acts on whom', () => {
  it.each(pairs)('as %s, granting %s: %s', (acting, granted, expected) => {
    expect(mayGrant({ kind: 'user', role: acting, scopes: heldBy(acting) }, granted)).toBe(expected)
  })

  it.each(pairs)('as %s, changing someone who is %s: %s', (acting, target, expected) => {
    expect(mayTouch(acting, target)).toBe(expected)
  })
})

describe('a key', () => {
  const grants = (scopes: readonly string[], role?: Role) =>
    roles.filter((granted) => mayGrant({ kind: 'api_key', role, scopes }, granted))

  it('grants no role that can do more than it does itself', () => {
    expect(grants(['*:*'], 'owner')).toEqual(['readonly', 'member', 'admin'])
    expect(grants(['*:*'])).toEqual(['readonly', 'member', 'admin'])
    expect(grants([...scopesOfRole.member, 'monitoring:read', 'members:write'], 'owner')).toEqual([
      'readonly',
      'member',
    ])
    expect(grants(['members:write'], 'owner')).toEqual([])
  })
})

describe('the role that a call acts with', () => {
  it.each(roles)('is that of a person who is signed in: %s', (role) => {
    expect(actingRole({ kind: 'user', role })).toBe(role)
  })

  it.each([
    ['owner', 'admin'],
    ['admin', 'admin'],
    ['member', 'member'],
    ['readonly', 'readonly'],
    [undefined, 'admin'],
  ] as const)('is never an owner with an API key: %s acts as %s', (role, expected) => {
    expect(actingRole({ kind: 'api_key', role })).toBe(expected)
  })

  it('is the least for whoever has none', () => {
    expect(actingRole({ kind: 'operator', role: undefined })).toBe('readonly')
  })
})
