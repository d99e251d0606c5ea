import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ChargeLine, chargeNanoUsd, nanoFromUsd, usdFromNano, usdTextFromNano } from '../../src/core/money.ts'

const units = fc.oneof(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 5_000 }), fc.constant(2 ** 31))
const price = fc.oneof(
  fc.nat({ max: 2 ** 31 - 1 }),
  fc.maxSafeNat().map((value) => value % (10 ** 12 + 1)),
  fc.constant(10 ** 12),
)
const line: fc.Arbitrary<ChargeLine> = fc.record({ units, nanoUsdPerMillion: price })
const lines = fc.array(line, { minLength: 1, maxLength: 4 })
const pair = fc.array(line, { minLength: 1, maxLength: 2 })

function reference(all: readonly ChargeLine[]): bigint {
  const total = all.reduce((sum, each) => sum + BigInt(each.units) * BigInt(each.nanoUsdPerMillion), 0n)
  return total / 1_000_000n + (total % 1_000_000n > 0n ? 1n : 0n)
}

describe('chargeNanoUsd', () => {
  it('charges one token of the cheapest price as one whole nano-USD', () => {
    expect(chargeNanoUsd([{ units: 1, nanoUsdPerMillion: 1 }])).toBe(1)
    expect(chargeNanoUsd([{ units: 0, nanoUsdPerMillion: 10 ** 12 }])).toBe(0)
    expect(chargeNanoUsd([])).toBe(0)
  })

  it('rounds up once for the call, not once for each line', () => {
    const third = { units: 1, nanoUsdPerMillion: 333_333 }
    expect(chargeNanoUsd([third, third, third])).toBe(1)
  })

  it('costs 2.50 USD for a million tokens at 2.50 USD per million', () => {
    expect(usdFromNano(chargeNanoUsd([{ units: 1_000_000, nanoUsdPerMillion: nanoFromUsd('2.5') }]))).toBe(2.5)
  })

  it('equals big-integer arithmetic for any counts up to 2^31 and prices up to 10^12', () => {
    fc.assert(
      fc.property(lines, (all) => BigInt(chargeNanoUsd(all)) === reference(all)),
      { numRuns: 2_000 },
    )
  })

  it('never falls when a count grows', () => {
    fc.assert(
      fc.property(lines, fc.nat({ max: 1_000_000 }), (all, more) => {
        const grown = all.map((each) => ({ ...each, units: each.units + more }))
        return chargeNanoUsd(grown) >= chargeNanoUsd(all)
      }),
    )
  })

  it('costs at most one nano-USD less in one call than split over two', () => {
    fc.assert(
      fc.property(pair, pair, (left, right) => {
        const apart = chargeNanoUsd(left) + chargeNanoUsd(right)
        const together = chargeNanoUsd([...left, ...right])
        return together <= apart && apart - together <= 1
      }),
    )
  })

  it('refuses figures that are negative, fractional or not numbers', () => {
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => chargeNanoUsd([{ units: bad, nanoUsdPerMillion: 1 }])).toThrow(RangeError)
      expect(() => chargeNanoUsd([{ units: 1, nanoUsdPerMillion: bad }])).toThrow(RangeError)
    }
  })
})

describe('conversion between USD and nano-USD', () => {
  it('reads decimal text without a binary fraction', () => {
    expect(nanoFromUsd('0.003625')).toBe(3_625_000)
    expect(nanoFromUsd(0.1 + 0.2)).toBe(300_000_000)
    expect(nanoFromUsd('1e-7')).toBe(100)
    expect(nanoFromUsd(1.5e-8)).toBe(15)
    expect(nanoFromUsd('0.0000000005')).toBe(1)
    expect(nanoFromUsd('0.00000000049')).toBe(0)
    expect(nanoFromUsd('5e-11')).toBe(0)
    expect(nanoFromUsd('12e3')).toBe(12_000_000_000_000)
  })

  it('refuses what is not an amount', () => {
    for (const bad of ['', '-1', 'free', '1,5', 'NaN', '1e20', Number.NaN, -0.5]) {
      expect(() => nanoFromUsd(bad)).toThrow(RangeError)
    }
  })

  it('gives back the same integer below 8 million USD, with at most nine decimals on the wire', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeNat().map((value) => value % (8 * 10 ** 15)),
          fc.nat(),
        ),
        (nanoUsd) => {
          const usd = usdFromNano(nanoUsd)
          const decimals = /e/.test(String(usd)) ? 9 : (String(usd).split('.')[1] ?? '').length
          expect(nanoFromUsd(usd)).toBe(nanoUsd)
          expect(nanoFromUsd(JSON.stringify(usd))).toBe(nanoUsd)
          expect(decimals).toBeLessThanOrEqual(9)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('usdTextFromNano', () => {
  it.each([
    [0, '0'],
    [20, '0.00000002'],
    [140, '0.00000014'],
    [1_500_000_000, '1.5'],
    [12_000_000_000, '12'],
  ])('writes %d as %s', (nanoUsd, text) => {
    expect(usdTextFromNano(nanoUsd)).toBe(text)
  })

  it('is read as the same amount, and never has an exponent', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (nanoUsd) => {
        const text = usdTextFromNano(nanoUsd)
        expect(text).toMatch(/^\d+(\.\d{0,8}[1-9])?$/)
        expect(nanoFromUsd(text)).toBe(nanoUsd)
      }),
    )
  })
})
