import fc from 'fast-check'
import { expect, it } from 'vitest'
import { headerText } from '../../src/http/header-text.ts'
import { anyCharacter } from '../support/any-character.ts'

it.each([
  ['gpt-4o', 'gpt-4o'],
  ['messages[].name,logit_bias', 'messages[].name,logit_bias'],
  ['schön', 'sch%C3%B6n'],
  ['a\r\nset-cookie: b', 'a%0D%0Aset-cookie:%20b'],
  ['\ud800', '%EF%BF%BD'],
  ['x'.repeat(1001), `${'x'.repeat(1000)}...`],
])('writes %j as a header can carry it', (text, written) => {
  expect(headerText(text)).toBe(written)
})

it('writes every text as a header can carry it', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter, maxLength: 400 }), (text) => {
      expect(new Headers({ 'x-any': headerText(text) }).get('x-any')).toBe(headerText(text))
    }),
  )
})
