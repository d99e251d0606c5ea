import { describe, expect, it } from 'vitest'
import { chooseMembership } from '../../../src/features/auth/sign-in.ts'
import type { Membership } from '../../../src/features/users/service.ts'

const membership = (orgId: string, isLive = true): Membership => ({
  orgId,
  orgName: orgId,
  orgSlug: orgId,
  plan: 'free',
  role: 'member',
  isLive,
})

describe('the organisation of a sign-in', () => {
  it('is the oldest that is alive, or the one that is named', () => {
    const all = [membership('org_1', false), membership('org_2'), membership('org_3')]
    expect(chooseMembership(all, undefined).orgId).toBe('org_2')
    expect(chooseMembership(all, 'org_3').orgId).toBe('org_3')
  })

  it.each<[string, Membership[], string | undefined]>([
    ['no membership', [], undefined],
    ['none that is alive', [membership('org_1', false)], undefined],
    ['one that is not alive', [membership('org_1', false), membership('org_2')], 'org_1'],
    ['somebody else’s', [membership('org_1')], 'org_2'],
  ])('is refused with %s', (_case, all, orgId) => {
    expect(() => chooseMembership(all, orgId)).toThrow(expect.objectContaining({ code: 'permission_denied' }))
  })
})
