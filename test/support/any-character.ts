import fc from 'fast-check'

const SURROGATES = 0xd800
const SURROGATE_COUNT = 0x800

/**
 * Any character that UTF-8 can hold, for the texts of properties. `unit: 'binary'` means the same, and begins by noting
 * all of the million in a map, which takes a second and stays in the memory of a process of many files.
 */
export const anyCharacter = fc
  .integer({ min: 0, max: 0x10_ffff - SURROGATE_COUNT })
  .map((at) => String.fromCodePoint(at < SURROGATES ? at : at + SURROGATE_COUNT))

/** URLs of any host, with any path; `fc.webUrl()` makes the characters of its own as `unit: 'binary'` does. */
export const anyUrl = fc
  .tuple(
    fc.constantFrom('http', 'https'),
    fc.webAuthority(),
    fc.array(fc.string({ unit: anyCharacter, maxLength: 8 }).map(encodeURIComponent), { maxLength: 4 }),
  )
  .map(([scheme, authority, segments]) => `${scheme}://${[authority, ...segments].join('/')}`)
