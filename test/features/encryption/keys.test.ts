import { createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type KekSettings,
  kekIdIn,
  kekIdOf,
  unwrap,
  type WrapContext,
  wrap,
} from '../../../src/features/encryption/keys.ts'
import { SealError } from '../../../src/features/encryption/seal.ts'
import {
  needsRewrap,
  openForPlatform,
  type PlatformPlace,
  sealForPlatform,
} from '../../../src/features/encryption/service.ts'
import { count } from '../../support/lane.ts'
import { anyBit, anyText, flipBit } from './tamper.ts'

const numRuns = count(150, 30_000)
const timeoutMs = count(30_000, 600_000)

const kek = () => randomBytes(32).toString('base64')
const [first, second, third] = [kek(), kek(), kek()]
const keks = (kekCurrent: string, kekPrevious?: string): KekSettings => ({ kekCurrent, kekPrevious })
const dataKey = (orgId: string, version: number): WrapContext => ({ purpose: 'data-key', bound: [orgId, version] })
const place: PlatformPlace = { table: 'signing_keys', column: 'private_jwk', rowId: 'kid_1' }

async function unreadable(opening: Promise<unknown>): Promise<boolean> {
  try {
    await opening
    return false
  } catch (error) {
    if (error instanceof SealError) return true
    throw error
  }
}

describe('a wrapped key', () => {
  it('is AES-256-GCM under a key that HKDF-SHA-256 derives for its purpose, as node:crypto knows them', async () => {
    const bytes = new Uint8Array(randomBytes(32))
    const wrapped = await wrap(keks(first), dataKey('org_1', 3), bytes)
    const [form, kekId, iv = '', body = ''] = wrapped.split('.')
    expect([form, kekId]).toEqual(['k1', await kekIdOf(first)])
    const derived = Buffer.from(hkdfSync('sha256', Buffer.from(first, 'base64'), '', 'helix/data-key', 32))
    const sealed = Buffer.from(body, 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', derived, Buffer.from(iv, 'base64url'))
    decipher.setAAD(Buffer.from(`["helix/wrapped","data-key","${kekId}","org_1",3]`))
    decipher.setAuthTag(sealed.subarray(-16))
    expect(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])).toEqual(Buffer.from(bytes))
  })

  it(
    'unwraps to its bytes, and not with a bit flipped, for another purpose, organisation or version',
    async () => {
      const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 64 })
      await fc.assert(
        fc.asyncProperty(anyBytes, fc.string(), fc.nat(), anyBit, async (bytes, orgId, version, bit) => {
          const wrapped = await wrap(keks(first), dataKey(orgId, version), bytes)
          expect(await unwrap(keks(first), dataKey(orgId, version), wrapped)).toEqual(bytes)
          expect(await unreadable(unwrap(keks(first), dataKey(orgId, version), flipBit(wrapped, bit)))).toBe(true)
          expect(await unreadable(unwrap(keks(first), dataKey(`${orgId}0`, version), wrapped))).toBe(true)
          expect(await unreadable(unwrap(keks(first), dataKey(orgId, version + 1), wrapped))).toBe(true)
          const platform: WrapContext = { purpose: 'platform', bound: [orgId, version] }
          expect(await unreadable(unwrap(keks(first), platform, wrapped))).toBe(true)
        }),
        { numRuns },
      )
    },
    timeoutMs,
  )

  it('unwraps with either configured key and with no other, even one that claims its id', async () => {
    const bytes = new Uint8Array(randomBytes(32))
    const wrapped = await wrap(keks(first), dataKey('org_1', 1), bytes)
    expect(await unwrap(keks(second, first), dataKey('org_1', 1), wrapped)).toEqual(bytes)
    expect(await unwrap(keks(first, second), dataKey('org_1', 1), wrapped)).toEqual(bytes)
    expect(await unreadable(unwrap(keks(second, third), dataKey('org_1', 1), wrapped))).toBe(true)
    const renamed = wrapped.replace(await kekIdOf(first), await kekIdOf(second))
    expect(await unreadable(unwrap(keks(second, first), dataKey('org_1', 1), renamed))).toBe(true)
  })
})

describe('the id of a key-encryption key', () => {
  it('is eight hexadecimal digits, of no plain digest of the key', async () => {
    const id = await kekIdOf(first)
    expect(id).toMatch(/^[0-9a-f]{8}$/)
    expect(await kekIdOf(second)).not.toBe(id)
    for (const input of [first, Buffer.from(first, 'base64')]) {
      expect(createHash('sha256').update(input).digest('hex').startsWith(id)).toBe(false)
    }
  })

  it('is the same however its base64 is padded', async () => {
    expect(await kekIdOf(first.replace(/=+$/, ''))).toBe(await kekIdOf(first))
  })

  it('is not read from any other text', () => {
    for (const text of ['', 'k1', 'k1.zzzzzzzz.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA', 'v1.1.AAAA.AAAA']) {
      expect(() => kekIdIn(text)).toThrow(SealError)
    }
  })
})

describe('a secret of the platform', () => {
  it(
    'opens to what was sealed, and not with a bit flipped or at another place',
    async () => {
      const settings = keks(first)
      await fc.assert(
        fc.asyncProperty(anyText, fc.string(), anyBit, async (plaintext, rowId, bit) => {
          const at = { ...place, rowId }
          const sealed = await sealForPlatform({ settings }, at, plaintext)
          expect(await openForPlatform({ settings }, at, sealed)).toBe(plaintext)
          expect(await unreadable(openForPlatform({ settings }, at, flipBit(sealed, bit)))).toBe(true)
          for (const moved of [
            { ...at, rowId: `${rowId}0` },
            { ...at, table: 'users' },
            { ...at, column: 'other' },
          ]) {
            expect(await unreadable(openForPlatform({ settings }, moved, sealed))).toBe(true)
          }
        }),
        { numRuns },
      )
    },
    timeoutMs,
  )

  it('opens while its key is the previous one, should then be sealed again, and is lost with both', async () => {
    const old = await sealForPlatform({ settings: keks(first) }, place, 'private')
    expect(await needsRewrap({ settings: keks(first) }, old)).toBe(false)
    const rotated = { settings: keks(second, first) }
    expect(await openForPlatform(rotated, place, old)).toBe('private')
    expect(await needsRewrap(rotated, old)).toBe(true)
    const renewed = await sealForPlatform(rotated, place, 'private')
    expect(await needsRewrap(rotated, renewed)).toBe(false)
    expect(await openForPlatform({ settings: keks(second) }, place, renewed)).toBe('private')
    expect(await unreadable(openForPlatform({ settings: keks(second) }, place, old))).toBe(true)
  })
})
