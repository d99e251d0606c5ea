import { describe, expect, it } from 'vitest'
import type { Policy } from '../../../src/core/admission.ts'
import {
  endOf,
  endOfSuccessor,
  inherited,
  onlyOf,
  type Powers,
  refuseBeyond,
} from '../../../src/features/keys/reach.ts'
import { fakePolicy } from '../../support/fake-deps.ts'

const NOW = 1_800_000_000
const DAY = 86_400
const caller = { orgId: 'org_1', keyId: 'key_1', scopes: [], ip: '192.0.2.1' }
const wanted = (given: Partial<Powers> = {}): Powers => ({
  scopes: ['chat:read'],
  mode: 'live',
  allowed_ips: null,
  allowed_models: null,
  agent_id: null,
  ...given,
})
const refusal = (policy: Partial<Policy>, powers: Partial<Powers>): string | undefined => {
  try {
    refuseBeyond({ policy: fakePolicy({ scopes: ['chat:write', 'keys:write'], ...policy }) }, wanted(powers))
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ code: 'permission_denied', status: 403 })
    return error instanceof Error ? error.message : ''
  }
}

describe('whose keys a caller sees', () => {
  it.each([
    ['a member only their own', { kind: 'user', userId: 'usr_1', role: 'member' }, 'usr_1'],
    ['someone whose role is not known only their own', { kind: 'user', userId: 'usr_1' }, 'usr_1'],
    ['an administrator all', { kind: 'user', userId: 'usr_1', role: 'admin' }, undefined],
    ["a member's key the member's", { kind: 'api_key', userId: 'usr_1', role: 'member' }, 'usr_1'],
    ["an owner's key all", { kind: 'api_key', userId: 'usr_1', role: 'owner' }, undefined],
    ['a key that belongs to nobody all', { kind: 'api_key' }, undefined],
  ] as const)('%s', (_who, given, expected) => {
    expect(onlyOf({ ...caller, ...given })).toBe(expected)
  })
})

describe('what a caller may give to a key', () => {
  it('are scopes that they hold, also by way of a wider one', () => {
    expect(refusal({}, { scopes: ['chat:read', 'chat:write', 'keys:read'] })).toBeUndefined()
    expect(refusal({ scopes: ['*:*'] }, { scopes: ['*:*', '*:read', 'budgets:write'] })).toBeUndefined()
  })

  it('is no scope beyond, and the refusal names it', () => {
    expect(refusal({}, { scopes: ['chat:read', 'budgets:write'] })).toContain('budgets:write')
    expect(refusal({ scopes: ['*:read'] }, { scopes: ['*:read', '*:*'] })).toContain('*:*')
    expect(refusal({ scopes: ['user', 'owner'] }, { scopes: ['chat:read'] })).toContain('chat:read')
  })

  it('is no fewer restrictions than the key has that gives it', () => {
    const own = { allowedIps: ['192.0.2.0/24', '198.51.100.7'], allowedModels: ['gpt-4o'] }
    const both = { allowed_ips: ['192.0.2.0/24'], allowed_models: ['gpt-4o'] }
    expect(refusal(own, both)).toBeUndefined()
    expect(refusal(own, { ...both, allowed_ips: null })).toContain('addresses')
    expect(refusal(own, { ...both, allowed_ips: ['192.0.2.0/24', '203.0.113.1'] })).toContain('addresses')
    expect(refusal(own, { ...both, allowed_models: null })).toContain('models')
    expect(refusal({ mode: 'test' }, {})).toContain('test key')
    expect(refusal({ mode: 'test' }, { mode: 'test' })).toBeUndefined()
  })

  it('is no key of another agent, and none of nobody, by a key of an agent', () => {
    const own = { agentId: 'nightly' }
    expect(refusal(own, { agent_id: 'nightly' })).toBeUndefined()
    expect(refusal(own, { agent_id: null })).toContain('nightly')
    expect(refusal(own, { agent_id: 'daily' })).toContain('nightly')
    expect(refusal({}, { agent_id: 'daily' })).toBeUndefined()
  })

  it('is everything of a kind that a person who is signed in has no restriction of', () => {
    expect(refusal({ kind: 'user', mode: 'test', allowedModels: ['gpt-4o'] }, {})).toBeUndefined()
  })

  it('starts from the restrictions of the key that gives it', () => {
    const policy = fakePolicy({ allowedIps: ['192.0.2.1'], allowedModels: undefined, agentId: 'nightly' })
    const restrictions = { allowed_ips: ['192.0.2.1'], allowed_models: null, agent_id: 'nightly' }
    expect(inherited({ policy })).toEqual(restrictions)
    const none = { allowed_ips: null, allowed_models: null, agent_id: null }
    expect(inherited({ policy: { ...policy, kind: 'user' } })).toEqual(none)
  })
})

describe('the end of a key', () => {
  it('is a year away unless said otherwise', () => {
    expect(endOf(undefined, NOW)).toBe(NOW + 365 * DAY)
    expect(endOf(NOW + 1, NOW)).toBe(NOW + 1)
  })

  it.each([
    ['now', NOW, 'in the future'],
    ['past', NOW - 1, 'in the future'],
    ['beyond five years', NOW + 1828 * DAY, 'within five years'],
  ])('cannot be %s', (_when, end, rule) => {
    expect(() => endOf(end, NOW)).toThrow(
      expect.objectContaining({ status: 422, message: expect.stringContaining(rule) }),
    )
  })

  it('leaves a successor as long a life as the old key had', () => {
    expect(endOfSuccessor({ created_at: NOW - 50 * DAY, expires_at: NOW + 40 * DAY }, NOW)).toBe(NOW + 90 * DAY)
    expect(endOfSuccessor({ created_at: NOW - 50 * DAY, expires_at: null }, NOW)).toBe(NOW + 365 * DAY)
  })
})
