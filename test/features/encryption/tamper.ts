import fc from 'fast-check'
import { anyCharacter } from '../../support/any-character.ts'

/** Any text that UTF-8 can hold, line breaks, NUL and byte-order marks included. */
export const anyText = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc.string(),
  fc.constantFrom('', '\ufeff', '\0', ' \r\n '),
)

/** One bit of one character flipped, wherever that still is a text of its own. */
export function flipBit(text: string, position: number): string {
  const bytes = Buffer.from(text, 'latin1')
  const at = Math.floor(position / 8) % bytes.length
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (position % 8))
  return bytes.toString('latin1')
}

export const anyBit = fc.nat({ max: 1_000_000 })
