import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normalForm } from '../../../src/features/ensembles/normalise.ts'
import { count } from '../../support/lane.ts'

describe('the normal form', () => {
  it.each([
    ['42', ' 42.'],
    ['42', '42.0'],
    ['42', '**42**'],
    ['42', '"42"'],
    ['42', '+42'],
    ['42', '```\n42\n```'],
    ['1000', '1,000'],
    ['1234567.5', '1,234,567.50'],
    ['1000', '1e3'],
    ['0.5', '.5'],
    ['-3', '\u22123'],
    ['Paris', 'paris!'],
    ['(B)', 'b'],
    ['B)', 'b.'],
    ['the  answer\nis Paris', 'The answer is Paris.'],
    ['5 km', '5km'],
    ['5 km', '5 kilometres'],
    ['3.10 km', '3.1km'],
    ['$5', '5 USD'],
    ['$1,000', '1000 dollars.'],
    ['50%', '50 percent'],
    ['2 hours', '2h'],
    ['20 °C', '20 degrees Celsius'],
    ['{"a":1,"b":[1,2]}', '{ "b": [1, 2.0], "a": 1 }'],
    ['```json\n{"a": 1}\n```', '{"a":1}'],
    ['ﬁne', 'fine'],
  ])('of %j is that of %j', (one, other) => {
    expect(normalForm(one)).toBe(normalForm(other))
  })

  it.each([
    ['42', 'forty-two'],
    ['42', '43'],
    ['42', '4.2'],
    ['5', '-5'],
    ['x+1', 'x-1'],
    ['2*(3+4)', '2*3+4'],
    ['5 km', '5 m'],
    ['5 m', '5 min'],
    ['1 km', '1000 m'],
    ['$5', '€5'],
    ['50', '50%'],
    ['1.2.3', '1.23'],
    ['{"a":1}', '{"a":2}'],
    ['[1,2]', '[2,1]'],
    ['{"name":"Ann"}', '{"name":"ann"}'],
    ['yes', 'no'],
  ])('of %j is not that of %j', (one, other) => {
    expect(normalForm(one)).not.toBe(normalForm(other))
  })

  it('is its own normal form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const form = normalForm(text)
        expect(normalForm(form)).toBe(form)
      }),
      { numRuns: count(300, 5000) },
    )
  })

  it('of a number does not depend on how it is written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (value) => {
        expect(normalForm(value.toLocaleString('en-US'))).toBe(String(value))
        expect(normalForm(`${value}.00`)).toBe(String(value))
      }),
      { numRuns: count(200, 5000) },
    )
  })

  it('of JSON does not depend on the order of its fields', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 5, noNullPrototype: true }), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse())
        expect(normalForm(JSON.stringify(reversed, null, 2))).toBe(normalForm(JSON.stringify(value)))
      }),
      { numRuns: count(200, 2000) },
    )
  })
})
