import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockIdOf, vendorIdOf } from '../../../src/features/messages/ids.ts'

describe('the id of a call', () => {
  it('of any vendor is written in the letters that Anthropic takes, and is found again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), (id) => {
        fc.pre(id.isWellFormed())
        const shown = blockIdOf(id)
        expect(shown).toMatch(/^[a-zA-Z0-9_-]+$/)
        expect(vendorIdOf(shown)).toBe(id)
      }),
    )
  })

  it.each(['toolu_01A-b', 'call_abc'])('%s stays as it is', (id) => {
    expect([blockIdOf(id), vendorIdOf(id)]).toEqual([id, id])
  })

  it('that only looks like one of ours is told from it', () => {
    expect(vendorIdOf(blockIdOf('hxid_abc'))).toBe('hxid_abc')
    expect(vendorIdOf('hxid_abc')).toBe('hxid_abc')
  })
})
