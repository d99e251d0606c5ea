import { createHmac, scryptSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { commonPasswords } from '../../../src/features/passwords/common.ts'
import {
  createHashGate,
  hashPassword,
  passwordFault,
  verifyNothing,
  verifyPassword,
} from '../../../src/features/passwords/service.ts'
import { anyCharacter } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'

const PEPPER = 'pepper-of-the-password-tests-pepper'
const PASSWORD = 'korrekt pferd batterie'
const SALT = Buffer.from('0123456789abcdef')

/** What a PHC string of these parameters is, by node:crypto alone. */
function phcOf(password: string, { ln = 15, r = 8, p = 1, pepper = PEPPER } = {}): string {
  const input = createHmac('sha256', pepper).update(password, 'utf8').digest()
  const hash = scryptSync(input, SALT, 32, { N: 2 ** ln, r, p, maxmem: 2 ** 28 })
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=${ln},r=${r},p=${p}$${text(SALT)}$${text(hash)}`
}

describe('a password', () => {
  it(
    'verifies against its own hash and no other does',
    async () => {
      const anyPassword = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 40 })
      await fc.assert(
        fc.asyncProperty(anyPassword, anyPassword, async (password, other) => {
          fc.pre(password.normalize('NFKC') !== other.normalize('NFKC'))
          const phc = await hashPassword(PEPPER, password)
          expect(phc).toMatch(/^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
          expect(await verifyPassword(PEPPER, password, phc)).toEqual({ ok: true, needsRehash: false })
          expect(await verifyPassword(PEPPER, other, phc)).toEqual({ ok: false, needsRehash: false })
        }),
        { numRuns: count(3, 100) },
      )
    },
    count(30_000, 300_000),
  )

  it('is stored as scrypt of its HMAC under the pepper, in a form that others read', async () => {
    expect(await verifyPassword(PEPPER, PASSWORD, phcOf(PASSWORD))).toEqual({ ok: true, needsRehash: false })
    const [, , , salt = '', hash = ''] = (await hashPassword(PEPPER, PASSWORD)).split('$')
    const input = createHmac('sha256', PEPPER).update(PASSWORD).digest()
    const options = { N: 32_768, r: 8, p: 1, maxmem: 2 ** 27 }
    expect(scryptSync(input, Buffer.from(salt, 'base64'), 32, options)).toEqual(Buffer.from(hash, 'base64'))
  })

  it('has another hash each time and none without the pepper', async () => {
    expect(await hashPassword(PEPPER, PASSWORD)).not.toBe(await hashPassword(PEPPER, PASSWORD))
    expect(await verifyPassword('another pepper', PASSWORD, phcOf(PASSWORD))).toMatchObject({ ok: false })
  })

  it('is the same however a keyboard composes its characters', async () => {
    const phc = await hashPassword(PEPPER, 'Pässwörter ①②③ ﬁn')
    expect(await verifyPassword(PEPPER, 'Pa\u0308sswo\u0308rter 123 fin', phc)).toMatchObject({ ok: true })
    expect(await verifyPassword(PEPPER, 'Passworter 123 fin', phc)).toMatchObject({ ok: false })
  })
})

describe('a stored string', () => {
  it.each([{ ln: 14 }, { r: 4 }])(
    'of weaker parameters (%j) is to be replaced once its password was right',
    async (weaker) => {
      const phc = phcOf(PASSWORD, weaker)
      expect(await verifyPassword(PEPPER, PASSWORD, phc)).toEqual({ ok: true, needsRehash: true })
      expect(await verifyPassword(PEPPER, 'another', phc)).toEqual({ ok: false, needsRehash: false })
    },
  )

  it('of stronger parameters within bounds is left as it is', async () => {
    expect(await verifyPassword(PEPPER, PASSWORD, phcOf(PASSWORD, { ln: 16 }))).toEqual({
      ok: true,
      needsRehash: false,
    })
  })

  const [, , , salt, hash] = phcOf(PASSWORD).split('$')
  it.each([
    phcOf(PASSWORD, { ln: 17 }),
    `$scrypt$ln=63,r=8,p=1$${salt}$${hash}`,
    `$scrypt$ln=15,r=99,p=1$${salt}$${hash}`,
    `$scrypt$ln=15,r=8,p=99$${salt}$${hash}`,
    `$scrypt$ln=0,r=8,p=1$${salt}$${hash}`,
    `$scrypt$ln=15,r=8,p=1$${salt}$`,
    `$scrypt$ln=15,r=8,p=1$${salt}$${hash}\n`,
    `$argon2id$v=19$m=65536,t=3,p=4$${salt}$${hash}`,
    '',
  ])('that is %j is nobody’s password', async (phc) => {
    expect(await verifyPassword(PEPPER, PASSWORD, phc)).toEqual({ ok: false, needsRehash: false })
  })

  it('of nobody is never matched', async () => {
    expect(await verifyNothing(PEPPER, PASSWORD)).toEqual({ ok: false, needsRehash: false })
  })
})

describe('a new password', () => {
  const tooShort = 'The password must have at least 8 characters.'
  const tooLong = 'The password must have at most 128 characters.'
  const common = 'The password must not be one of the most common passwords.'
  const named = 'The password must not contain the username.'

  it.each([
    ['Xq7 vbn', tooShort],
    ['', tooShort],
    ['😀😀😀😀😀😀😀', tooShort],
    ['e\u0301e\u0301e\u0301e\u0301', tooShort],
    ['x'.repeat(129), tooLong],
    ['password', common],
    ['PassWord123', common],
    ['ｐａｓｓｗｏｒｄ', common],
    ['QWERTYUIOP', common],
    ['ContraseñA', common],
    ['my Alice password', named],
    ['ALICE in wonderland', named],
    ['wonder\u212blice', undefined],
    ['Xq7 vbn!', undefined],
    ['😀😃😄😁😆😅🤣😂', undefined],
    ['x'.repeat(128), undefined],
    ['😀'.repeat(128), undefined],
  ])('%j: %s', (password, fault) => {
    expect(passwordFault(password, 'alice')).toBe(fault)
  })

  it('may contain a username of fewer than three characters', () => {
    expect(passwordFault('something of jo', 'jo')).toBeUndefined()
    expect(passwordFault('something of joe', 'joe')).toBe(named)
    expect(passwordFault('something of joe', '')).toBeUndefined()
  })

  it('is measured against a list of passwords that could be chosen at all', () => {
    expect(commonPasswords().size).toBeGreaterThanOrEqual(1000)
    for (const word of commonPasswords()) {
      expect([...word].length).toBeGreaterThanOrEqual(8)
      expect(word).toBe(word.normalize('NFKC').toLowerCase())
    }
  })
})

describe('the gate before hashes', () => {
  it('lets five begin in any second and tells the others to wait', () => {
    const gate = createHashGate()
    const waits = [0, 0, 100, 200, 300, 400, 999].map((ms) => gate.enter(1_000_000 + ms))
    expect(waits).toEqual([0, 0, 0, 0, 0, 1, 1])
    expect([1000, 1001, 1099, 1100].map((ms) => gate.enter(1_000_000 + ms))).toEqual([0, 0, 1, 0])
  })

  it('never lets more begin in a second than it should, and always as many when they are wanted', () => {
    const gaps = fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 8 }), (steps, perSecond) => {
        const gate = createHashGate(perSecond)
        const begun: number[] = []
        let nowMs = 0
        for (const step of steps) {
          nowMs += step
          const recent = begun.filter((atMs) => nowMs - atMs < 1000).length
          const wait = gate.enter(nowMs)
          expect(wait === 0).toBe(recent < perSecond)
          if (wait === 0) begun.push(nowMs)
        }
      }),
      { numRuns: count(200, 10_000) },
    )
  })

  it('opens again when the clock was set back', () => {
    const gate = createHashGate(1)
    expect(gate.enter(1_000_000)).toBe(0)
    expect(gate.enter(500_000)).toBe(0)
    expect(gate.enter(500_001)).toBe(1)
  })
})
