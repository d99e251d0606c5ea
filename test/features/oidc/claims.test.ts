import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lesserRole, type Role, reaches, roles } from '../../../src/core/roles.ts'
import { accountOf, usernamesFor } from '../../../src/features/oidc/account.ts'
import { claimOf, meets, roleOf, subjectOf } from '../../../src/features/oidc/claims.ts'
import { Email, Username } from '../../../src/features/users/service.ts'
import { anyCharacter } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'

describe('a claim', () => {
  it('is found by its whole name first, then along its dots, and never in what objects inherit', () => {
    const claims = { 'a.b': 1, a: { b: 2, c: ['x'] }, 'https://x.test/roles': ['admin'] }
    expect(claimOf(claims, 'a.b')).toBe(1)
    expect(claimOf(claims, 'a.c')).toEqual(['x'])
    expect(claimOf(claims, 'https://x.test/roles')).toEqual(['admin'])
    for (const name of ['toString', '__proto__', 'constructor.name', 'a.c.length', 'a.b.c', 'none']) {
      expect(claimOf(claims, name), name).toBeUndefined()
    }
  })
})

describe('conditions', () => {
  it('hold for exact values, for beginnings, and for one item of a list', () => {
    expect(meets({ a: 'x', b: ['y', 'z'], c: 5, d: true }, { a: 'x', b: 'z', c: '5', d: 'true' })).toBe(true)
    expect(meets({ ref: 'refs/heads/main' }, { ref: 'refs/heads/*' })).toBe(true)
    expect(meets({}, {})).toBe(true)
  })

  it('do not hold for anything that only looks similar', () => {
    for (const value of ['X', 'x ', 'xx', '', undefined, null, {}, [], ['xx'], { x: 'x' }, [['x']]]) {
      expect(meets({ a: value }, { a: 'x' }), JSON.stringify(value)).toBe(false)
    }
    expect(meets({ a: 'refs/heads' }, { a: 'refs/heads/*' })).toBe(false)
    expect(meets({ a: 'x*' }, { a: 'x' })).toBe(false)
  })
})

describe('a role', () => {
  const provider = {
    claimMap: { role: 'groups' },
    roleMap: { staff: 'member', leads: 'admin', board: 'owner' },
    defaultRole: 'readonly',
    maxRole: 'admin',
  } as const

  it('is the highest that is mapped, and the default where none is', () => {
    expect(roleOf(provider, { groups: ['staff', 'leads', 'other'] })).toBe('admin')
    expect(roleOf(provider, { groups: 'staff' })).toBe('member')
    for (const groups of [[], ['other'], undefined, '__proto__', ['toString'], { staff: true }]) {
      expect(roleOf(provider, { groups })).toBe('readonly')
    }
    expect(roleOf({ ...provider, claimMap: {} }, { groups: ['leads'] })).toBe('readonly')
  })

  it('is never above that of whoever configured the provider', () => {
    expect(roleOf(provider, { groups: ['board'] })).toBe('admin')
    const role = fc.constantFrom<Role>(...roles)
    fc.assert(
      fc.property(fc.dictionary(fc.string(), role), fc.array(fc.string()), role, role, (roleMap, groups, low, max) => {
        const given = roleOf({ claimMap: { role: 'groups' }, roleMap, defaultRole: low, maxRole: max }, { groups })
        expect(reaches(max, given)).toBe(true)
        expect(lesserRole(given, max)).toBe(given)
      }),
      { numRuns: count(200, 10_000) },
    )
  })
})

describe('a subject', () => {
  it('is a text that is there', () => {
    expect(subjectOf({ claimMap: {} }, { sub: 'alice' }).subject).toBe('alice')
    expect(subjectOf({ claimMap: { subject: 'oid' } }, { sub: 'alice', oid: 'o1' }).subject).toBe('o1')
    for (const sub of [undefined, '', 5, ['alice'], 'x'.repeat(513)]) {
      expect(() => subjectOf({ claimMap: {} }, { sub })).toThrow('not accepted')
    }
  })

  it('has a verified address only where its issuer says so of that very claim, with a truth value', () => {
    const isVerified = (claims: Record<string, unknown>, email?: string) =>
      subjectOf({ claimMap: { email } }, { sub: 'alice', ...claims }).isEmailVerified
    expect(isVerified({ email: 'a@b.test', email_verified: true })).toBe(true)
    for (const said of ['true', 1, 'yes', undefined, false]) {
      expect(isVerified({ email: 'a@b.test', email_verified: said })).toBe(false)
    }
    expect(isVerified({ upn: 'a@b.test', email_verified: true }, 'upn')).toBe(false)
  })
})

describe('an account', () => {
  const provider = { id: 'idp_1' }
  const known = { subject: 's1', email: undefined, isEmailVerified: false, username: undefined }
  const made = { id: 'usr_1', username: 'alice', now: 5 }

  it('is called as the issuer calls the person, by the address otherwise, and ci- and a hash for a workload', async () => {
    const name = async (given: Partial<typeof known> | { username: string } | { email: string }) =>
      (await usernamesFor(provider, { ...known, ...given }))[0]
    expect(await name({ username: 'alice' })).toBe('alice')
    expect(await name({ username: 'Zoë Müller@corp.test' })).toBe('Zoe-Muller')
    expect(await name({ username: 'ab', email: 'carol@corp.test' })).toBe('carol')
    expect(await name({})).toMatch(/^ci-[0-9a-f]{12}$/)
    expect(await name({ subject: 's2' })).not.toBe(await name({}))
  })

  it('has a valid name and a valid address whatever the issuer says', async () => {
    const text = fc.option(fc.oneof(fc.string({ unit: anyCharacter }), fc.emailAddress()), { nil: undefined })
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), text, text, async (subject, username, email) => {
        const one = { subject, username, email, isEmailVerified: true }
        for (const name of await usernamesFor(provider, one)) expect(Username.safeParse(name).success, name).toBe(true)
        const account = accountOf({ subject: one, role: 'member' }, made)
        expect(Email.safeParse(account.email).success, account.email).toBe(true)
        expect(account.passwordHash).toBeNull()
      }),
      { numRuns: count(40, 500) },
    )
  })

  it('has an address that no mail reaches and nobody verified when the issuer gives none', () => {
    expect(accountOf({ subject: known, role: 'member' }, made)).toMatchObject({
      email: 'usr_1@workload.invalid',
      verifiedAt: null,
    })
    const person = { ...known, email: 'a@b.test' }
    expect(accountOf({ subject: person, role: 'member' }, made).verifiedAt).toBeNull()
    expect(accountOf({ subject: { ...person, isEmailVerified: true }, role: 'member' }, made).verifiedAt).toBe(5)
  })
})
