import fc from 'fast-check'
import { expect, it } from 'vitest'
import { newId } from '../../src/core/ids.ts'

const anyTime = fc.integer({ min: 0, max: 2 ** 48 })

it('makes ids of a prefix and 26 characters of base32', () => {
  fc.assert(fc.property(anyTime, (time) => /^req_[0-9a-hjkmnp-tv-z]{26}$/.test(newId('req', time))))
})

it('makes ids that sort as their times do', () => {
  fc.assert(
    fc.property(anyTime, anyTime, (left, right) => {
      fc.pre(left !== right)
      return newId('x', left) < newId('x', right) === left < right
    }),
  )
})

it('makes no id twice in one millisecond', () => {
  const ids = new Set(Array.from({ length: 20_000 }, () => newId('x', 1)))
  expect(ids.size).toBe(20_000)
})
