import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { readToken } from '../../../src/features/oidc/token.ts'
import { count } from '../../support/lane.ts'

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const tokenOf = (header: unknown, claims: unknown) => `${encode(header)}.${encode(claims)}.c2ln`
const header = { alg: 'RS256' }
const claims = { iss: 'https://issuer.test', aud: 'helix', exp: 1_800_000_000, sub: 'alice' }

const refusal = (text: string): unknown => {
  try {
    readToken(text)
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return [error.code, error.cause]
  }
}
const MALFORMED = ['invalid_credentials', 'malformed']

describe('a token', () => {
  it('is read into what is looked at before its signature', () => {
    expect(
      readToken(tokenOf({ ...header, kid: 'k', x5t: 'thumb' }, { ...claims, azp: 'me', nbf: 1, iat: 2 })),
    ).toMatchObject({
      alg: 'RS256',
      kid: 'k',
      issuer: 'https://issuer.test',
      audiences: ['helix'],
      authorizedParty: 'me',
      notBefore: 1,
      issuedAt: 2,
      claims: { sub: 'alice' },
    })
  })

  it('has 16 KB at most', () => {
    const padded = (length: number) => {
      const empty = tokenOf(header, { ...claims, pad: '' }).length
      const text = tokenOf(header, { ...claims, pad: 'x'.repeat(Math.floor(((length - empty) * 3) / 4)) })
      return `${text}${'A'.repeat(length - text.length)}`
    }
    expect(refusal(padded(16 * 1024))).toBeUndefined()
    expect(refusal(padded(16 * 1024 + 1))).toEqual(MALFORMED)
  })

  it.each([
    ['nothing', ''],
    ['two segments', 'eyJ.eyJ'],
    ['four segments', `${tokenOf(header, claims)}.AA`],
    ['five segments, as an encrypted one', 'eyJ.a.b.c.d'],
    ['no signature', tokenOf(header, claims).replace(/\.\w+$/, '.')],
    ['a blank before it', ` ${tokenOf(header, claims)}`],
    ['plain base64', tokenOf(header, claims).replace(/\.c2ln$/, '.c2l+')],
    ['a header that is no object', tokenOf([header], claims)],
    ['claims that are no object', tokenOf(header, [claims])],
    ['claims that are null', tokenOf(header, 'null')],
    ['JSON that ends early', tokenOf('{"alg":"RS256"', claims)],
    ['bytes that are no UTF-8', `${encode(header)}.${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.c2ln`],
    ['endless nesting', tokenOf(header, `${'['.repeat(3000)}`)],
    ['NaN for a time', tokenOf(header, JSON.stringify(claims).replace('1800000000', 'NaN'))],
    ['a NUL character, which no store keeps', tokenOf(header, { ...claims, iss: 'https://issuer.test/\0' })],
    ['half a surrogate pair', tokenOf(header, JSON.stringify(claims).replace('alice', '\\ud800'))],
    ['a time beyond all times', tokenOf(header, JSON.stringify(claims).replace('1800000000', '1e999'))],
  ])('is refused with %s', (_what, text) => {
    expect(refusal(text)).toEqual(MALFORMED)
  })

  it('is refused as a token or read, and never anything else', () => {
    const part = fc.oneof(fc.json().map(encode), fc.string(), fc.base64String())
    const text = fc.oneof(
      fc.string(),
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
    )
    fc.assert(
      fc.property(text, (one) => {
        const why = refusal(one)
        expect(why === undefined || String(why) === String(MALFORMED)).toBe(true)
      }),
      { numRuns: count(300, 20_000) },
    )
  })
})
