import fc from 'fast-check'
import { expect, it } from 'vitest'
import { linksOf, splitAtLinks } from '../../../scripts/local/mailbox/links.ts'
import { anyUrl } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'

it.each([
  ['Go to https://h.example/a?t=x_y-z.', ['https://h.example/a?t=x_y-z']],
  ['(https://h.example/a), then <http://127.0.0.1:8787/b#c>!', ['https://h.example/a', 'http://127.0.0.1:8787/b#c']],
  ['ftp://h.example javascript:x https:// http:/x', []],
  ['', []],
])('finds the addresses in %j', (text, links) => {
  expect(linksOf(text)).toEqual(links)
})

it('loses nothing of a text when it cuts it, and cuts it at real addresses', () => {
  const part = fc.oneof(anyUrl, fc.string(), fc.constantFrom('https://', 'http://a', '.', ' ', '<', '"'))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const text = parts.join('')
      const pieces = splitAtLinks(text)
      expect(pieces.map((piece) => piece.text).join('')).toBe(text)
      for (const piece of pieces) if (piece.kind === 'link') expect(new URL(piece.text).protocol).toMatch(/^https?:$/)
    }),
    { numRuns: count(25, 1_000) },
  )
})
