import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createKey, parseKey } from '../../../src/features/keys/format.ts'
import { hashKey } from '../../../src/features/keys/service.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

describe('an API key', () => {
  it.each(['live', 'test'] as const)('of mode %s is read back as what it is', (mode) => {
    const key = createKey(mode)
    expect(key).toMatch(new RegExp(`^hx_${mode}_[0-9A-Za-z]{61}$`))
    expect(parseKey(key)).toEqual({ mode, publicId: key.slice(8, 20) })
  })

  it('is never the same twice', () => {
    expect(new Set(Array.from({ length: 1000 }, () => createKey('live'))).size).toBe(1000)
  })

  it('is refused with any one character mistyped', () => {
    const key = createKey('live')
    const position = fc.integer({ min: 8, max: key.length - 1 })
    fc.assert(
      fc.property(position, fc.constantFrom(...BASE62), (at, char) => {
        fc.pre(key.charAt(at) !== char)
        expect(parseKey(key.slice(0, at) + char + key.slice(at + 1))).toBeUndefined()
      }),
    )
  })

  it('is refused with two neighbours swapped, shortened, lengthened or of another mode', () => {
    const key = createKey('live')
    for (let at = 8; at + 1 < key.length; at++) {
      if (key.charAt(at) === key.charAt(at + 1)) continue
      const swapped = key.slice(0, at) + key.charAt(at + 1) + key.charAt(at) + key.slice(at + 2)
      expect(parseKey(swapped)).toBeUndefined()
    }
    for (const text of [key.slice(0, -1), `${key}0`, `${key}\n`, ` ${key}`, key.replace('live', 'test')]) {
      expect(parseKey(text)).toBeUndefined()
    }
  })

  it('is refused for any other text', () => {
    fc.assert(fc.property(fc.string(), (text) => parseKey(text) === undefined))
  })

  it('is stored as its HMAC-SHA-256 under the pepper', async () => {
    // RFC 4231, test case 2.
    const known = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    const hash = await hashKey('Jefe', 'what do ya want for nothing?')
    expect(Buffer.from(hash, 'base64url').toString('hex')).toBe(known)
    expect(await hashKey('another', 'what do ya want for nothing?')).not.toBe(hash)
  })
})
