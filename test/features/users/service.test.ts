import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Email, findLogin, findMemberships, foldName, Username } from '../../../src/features/users/service.ts'
import { count } from '../../support/lane.ts'

describe('a username', () => {
  it.each(['ada', 'Ada.Lovelace', 'a-b_c.9', 'x'.repeat(50)])('may be %s', (name) => {
    expect(Username.safeParse(name).success).toBe(true)
  })

  it.each(['', 'ab', 'x'.repeat(51), 'ada@home', 'ada lovelace', 'adá', 'ada\n', 'ada/..', 7, null])(
    'may not be %j',
    (name) => {
      expect(Username.safeParse(name).success).toBe(false)
    },
  )
})

describe('an e-mail address', () => {
  it.each([
    'ada@example.com',
    'a+tag@mail.example.co.uk',
    "o'neill@example.com",
    'root@localhost',
    'x@xn--bcher-kva.example',
  ])('may be %s', (address) => {
    expect(Email.safeParse(address).success).toBe(true)
  })

  it.each([
    'ada',
    '@example.com',
    'ada@',
    'ada@@example.com',
    'ada@-example.com',
    'ada@example..com',
    'Ada <ada@example.com>',
    'ada@example.com\r\nBcc: all@example.com',
    'ada@example.com,eve@example.com',
    '"a b"@example.com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b.'.repeat(130)}com`,
  ])('may not be %j', (address) => {
    expect(Email.safeParse(address).success).toBe(false)
  })

  it('takes no longer to refuse, however it is made', () => {
    const started = performance.now()
    expect(Email.safeParse(`a@${'a-'.repeat(120)}!`).success).toBe(false)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('what names are compared by', () => {
  it('is the same for spellings that look the same', () => {
    expect(foldName(' Ada@Example.COM ')).toBe('ada@example.com')
    expect(foldName('\uff21da')).toBe('ada')
    expect(foldName('e\u0301')).toBe('\u00e9')
  })

  it('does not change when it is folded again', () => {
    expect(foldName(foldName('J\u030c'))).toBe(foldName('J\u030c'))
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(foldName(foldName(text))).toBe(foldName(text))
      }),
      { numRuns: count(200, 20_000) },
    )
  })
})

const database = (rows: Record<string, unknown>[]) => ({
  db: {
    query: async () => rows,
    atomically: () => Promise.reject(new Error('not asked for')),
  },
})

describe('someone who signs in', () => {
  it('is nobody when no row comes', async () => {
    expect(await findLogin(database([]), 'ada')).toBeUndefined()
  })

  it('is what the row says, whatever type the numbers have', async () => {
    const row = {
      id: 'usr_1',
      username: 'ada',
      email: 'ada@example.com',
      password_hash: null,
      is_active: true,
      is_operator: false,
      locked_until: '1700000000',
    }
    expect(await findLogin(database([row]), 'ada')).toEqual({
      id: 'usr_1',
      username: 'ada',
      email: 'ada@example.com',
      passwordHash: undefined,
      isActive: true,
      isOperator: false,
      lockedUntil: 1_700_000_000,
    })
  })

  it('has the least role where the row has none that is known', async () => {
    const row = { org_id: 'org_1', org_name: 'A', org_slug: 'a', plan: 'free', role: 'god', is_live: true }
    expect(await findMemberships(database([row]), 'usr_1')).toEqual([
      { orgId: 'org_1', orgName: 'A', orgSlug: 'a', plan: 'free', role: 'readonly', isLive: true },
    ])
  })
})
