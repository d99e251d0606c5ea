import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { standardText } from '../../src/core/standard-text.ts'
import { simhashOf } from '../../src/features/semantic/simhash.ts'
import { count } from '../support/lane.ts'

describe('the standard form of a text', () => {
  it('is NFKC for every text that somebody writes', () => {
    const sign = fc.constantFrom('a', 'A\u030a', 'ﬁ', 'Ⅳ', 'ｶﾞ', '한', 'e\u0301\u0315\u0300', 'n\u0303', ' ', '字')
    fc.assert(
      fc.property(fc.array(sign), (signs) => {
        const text = signs.join('')
        expect(standardText(text)).toBe(text.normalize('NFKC'))
      }),
      { numRuns: count(100, 2000) },
    )
  })

  it.each([
    ['marks', '\u0315\u0300\u05ae'],
    ['marks in disguise', '\u0315\uff9e'],
  ])('takes no longer for many %s upon one letter', (_what, marks) => {
    expect(standardText(`a${marks.repeat(300_000)}b`).length).toBeLessThan(40)
    expect(simhashOf(`word a${marks.repeat(300_000)} word`)).toMatch(/^[0-9a-f]{16}$/)
  })
})
