import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonBytes } from '../../../src/adapters/providers/json-bytes.ts'
import { count } from '../../support/lane.ts'

const long = fc
  .tuple(fc.base64String({ maxLength: 8 }), fc.nat(3))
  .map(([text, more]) => `${text}${'ab+/'.repeat(16_384 + more)}`)
const quoted = fc.constantFrom('"', 'é', '\n', '\u2028', '\ud800').map((text) => text.repeat(70_000))

describe('JSON in bytes', () => {
  it('is what the platform writes, wherever long texts stand', () => {
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.oneof({ arbitrary: long, weight: 3 }, { arbitrary: quoted, weight: 1 }),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('tree'), { maxKeys: 3 }),
      ),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        expect(new TextDecoder().decode(jsonBytes(value))).toBe(JSON.stringify(value).toWellFormed())
      }),
      { numRuns: count(60, 1000) },
    )
  })
})
