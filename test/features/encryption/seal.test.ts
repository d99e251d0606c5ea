import { createDecipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  importDataKey,
  newDataKeyBytes,
  openText,
  type Place,
  parseSealed,
  SealError,
  sealText,
} from '../../../src/features/encryption/seal.ts'
import { count } from '../../support/lane.ts'
import { anyBit, anyText, flipBit } from './tamper.ts'

const numRuns = count(500, 100_000)
const timeoutMs = count(30_000, 600_000)

const bytes = newDataKeyBytes()
const [key, otherKey] = await Promise.all([importDataKey(bytes), importDataKey(newDataKeyBytes())])
const place: Place = { orgId: 'org_1', table: 'users', column: 'secret', rowId: 'usr_1' }
const anyPlace = fc.record({ orgId: fc.string(), table: fc.string(), column: fc.string(), rowId: fc.string() })
const anyVersion = fc.integer({ min: 1, max: 999_999_999 })

async function open(text: string, at: Place = place, by: CryptoKey = key): Promise<string> {
  return openText(by, at, parseSealed(text))
}

/** What a text gives: itself, or that it cannot be read. Any other error is a failure of the test. */
async function unreadable(opening: Promise<string>): Promise<boolean> {
  try {
    await opening
    return false
  } catch (error) {
    if (error instanceof SealError && error.code === 'unreadable') return true
    throw error
  }
}

describe('a sealed text', () => {
  it(
    'opens to what was sealed, whatever text, place and version it was',
    async () => {
      await fc.assert(
        fc.asyncProperty(anyText, anyPlace, anyVersion, async (plaintext, at, version) => {
          const sealed = await sealText({ version, key }, at, plaintext)
          expect(parseSealed(sealed).version).toBe(version)
          expect(await open(sealed, at)).toBe(plaintext)
        }),
        { numRuns },
      )
    },
    timeoutMs,
  )

  it(
    'does not open with any one bit flipped',
    async () => {
      await fc.assert(
        fc.asyncProperty(anyText, anyVersion, anyBit, async (plaintext, version, bit) => {
          const sealed = await sealText({ version, key }, place, plaintext)
          expect(await unreadable(open(flipBit(sealed, bit)))).toBe(true)
        }),
        { numRuns },
      )
    },
    timeoutMs,
  )

  it('does not open with any bit of it flipped, those that base64 leaves unused included', async () => {
    for (const plaintext of ['', 'a', 'ab']) {
      const sealed = await sealText({ version: 12, key }, place, plaintext)
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        expect(await unreadable(open(flipBit(sealed, bit)))).toBe(true)
      }
    }
  })

  it(
    'does not open in another organisation, table, column or row, nor with two of them exchanged',
    async () => {
      await fc.assert(
        fc.asyncProperty(anyPlace, anyPlace, fc.nat({ max: 14 }), async (at, other, mask) => {
          const moved = {
            orgId: mask & 1 ? other.orgId : at.orgId,
            table: mask & 2 ? other.table : at.table,
            column: mask & 4 ? at.rowId : at.column,
            rowId: mask & 4 ? at.column : mask & 8 ? other.rowId : at.rowId,
          }
          fc.pre(JSON.stringify(moved) !== JSON.stringify(at))
          const sealed = await sealText({ version: 1, key }, at, 'a value')
          expect(await unreadable(open(sealed, moved))).toBe(true)
        }),
        { numRuns },
      )
    },
    timeoutMs,
  )

  it('does not open where the same characters are divided otherwise', async () => {
    const sealed = await sealText({ version: 1, key }, { ...place, table: 'ab', column: 'c' }, 'a value')
    expect(await unreadable(open(sealed, { ...place, table: 'a', column: 'bc' }))).toBe(true)
    expect(await unreadable(open(sealed, { ...place, table: 'ab","c', column: '' }))).toBe(true)
  })

  it('does not open under another version or with another key', async () => {
    const sealed = await sealText({ version: 1, key }, place, 'a value')
    expect(await unreadable(open(sealed.replace(/^v1\.1\./, 'v1.2.')))).toBe(true)
    expect(await unreadable(open(sealed, place, otherKey))).toBe(true)
  })

  it('is never the same twice', async () => {
    const sealed = await Promise.all(Array.from({ length: 200 }, () => sealText({ version: 1, key }, place, 'same')))
    expect(new Set(sealed.map((text) => parseSealed(text).iv)).size).toBe(200)
    expect(new Set(sealed.map((text) => parseSealed(text).body)).size).toBe(200)
  })

  it('is AES-256-GCM as node:crypto knows it', async () => {
    const { iv, body } = parseSealed(await sealText({ version: 7, key }, place, 'grüße'))
    const sealed = Buffer.from(body, 'base64url')
    expect(Buffer.from(iv, 'base64url')).toHaveLength(12)
    const decipher = createDecipheriv('aes-256-gcm', bytes, Buffer.from(iv, 'base64url'))
    decipher.setAAD(Buffer.from('["helix/sealed","org_1","users","secret","usr_1",7]'))
    decipher.setAuthTag(sealed.subarray(-16))
    expect(decipher.update(sealed.subarray(0, -16), undefined, 'utf8') + decipher.final('utf8')).toBe('grüße')
  })

  it('reads half a surrogate pair back as the replacement character', async () => {
    expect(await open(await sealText({ version: 1, key }, place, 'a\ud800b'))).toBe('a\ufffdb')
  })

  it.each([
    '',
    'v1',
    'v1...',
    'v2.1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
    'v1.0.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
    'v1.01.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
    'v1.1.AAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
    'v1.1.AAAAAAAAAAAAAAAA.AAAA',
    'v1.1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
    'v1.1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA\n',
    'v1.9999999999.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA',
  ])('is not %j, which is unreadable', async (text) => {
    expect(await unreadable((async () => open(text))())).toBe(true)
  })

  it('says no more than that it is unreadable', async () => {
    const sealed = await sealText({ version: 1, key }, place, 'the secret')
    const error: unknown = await open(sealed, { ...place, rowId: 'usr_2' }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(SealError)
    expect(error).toHaveProperty('code', 'unreadable')
    expect(error).not.toHaveProperty('cause')
    expect(String(error)).not.toMatch(/secret|usr_|org_|tag|key/)
  })
})
