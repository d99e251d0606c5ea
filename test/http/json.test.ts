import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasMoreCommasThan, isDeeperThan } from '../../src/http/json-depth.ts'
import { findJsonFault } from '../../src/http/json-fault.ts'
import { anyCharacter } from '../support/any-character.ts'
import { count } from '../support/lane.ts'

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

const parses = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const awkward = fc.string({
  unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', ',', ':', 'a', '\u{1F600}', 'ś', 'ũ'),
})
const values = fc.jsonValue({ maxDepth: 8, stringUnit: anyCharacter })
const nested = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 12 }, awkward, fc.integer(), tie('list'), tie('record')),
  list: fc.array(tie('value'), { maxLength: 3 }),
  record: fc.dictionary(awkward, tie('value'), { maxKeys: 3 }),
})).value
const spaces = fc.constantFrom(undefined, 1, '\t')

describe('isDeeperThan', () => {
  it('agrees with the depth of the parsed value at every limit', () => {
    fc.assert(
      fc.property(fc.oneof(values, nested), spaces, fc.integer({ min: 0, max: 14 }), (value, space, limit) => {
        expect(isDeeperThan(JSON.stringify(value, null, space), limit)).toBe(depthOf(value) > limit)
      }),
    )
  })

  it('never lets a text through that parses to something deeper', () => {
    const soup = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', ',', ':', '1', ' '), maxLength: 40 })
    fc.assert(
      fc.property(soup, fc.integer({ min: 0, max: 3 }), (text, limit) => {
        fc.pre(parses(text))
        expect(isDeeperThan(text, limit)).toBe(depthOf(JSON.parse(text)) > limit)
      }),
      { numRuns: count(600, 2000) },
    )
  })

  it('takes 64 levels and refuses 65', () => {
    expect(isDeeperThan('['.repeat(64) + ']'.repeat(64), 64)).toBe(false)
    expect(isDeeperThan('['.repeat(65) + ']'.repeat(65), 64)).toBe(true)
    expect(isDeeperThan(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`, 64)).toBe(true)
  })

  it('does not take brackets in strings for levels', () => {
    expect(isDeeperThan(JSON.stringify(['['.repeat(100)]), 64)).toBe(false)
    expect(isDeeperThan(JSON.stringify([`\\"${'['.repeat(100)}`]), 64)).toBe(false)
    expect(isDeeperThan(JSON.stringify(['\\'.repeat(7)]) + '['.repeat(64), 64)).toBe(false)
  })

  it('stops at the end of a string that never closes', () => {
    expect(isDeeperThan(`["${'['.repeat(100)}`, 64)).toBe(false)
    expect(isDeeperThan(`["\\"${'['.repeat(100)}`, 64)).toBe(false)
  })

  it('reads ten megabytes of the worst kinds in far less time than parsing takes', () => {
    const megabytes = 10 * 1024 * 1024
    const opening = '[[],'.repeat(20)
    for (const unit of ['[],', '\\"', '1,', '"a",', 'text ', '\\\\']) {
      const text = opening + (unit.startsWith('\\') ? '"' : '') + unit.repeat(megabytes / unit.length)
      const before = performance.now()
      isDeeperThan(text, 64)
      expect(performance.now() - before).toBeLessThan(500)
    }
  })
})

describe('hasMoreCommasThan', () => {
  it('counts what stands between values, and nothing of their text', () => {
    const commasIn = (value: unknown): number => {
      if (typeof value !== 'object' || value === null) return 0
      const inner = Object.values(value)
      return Math.max(0, inner.length - 1) + inner.reduce<number>((sum, one) => sum + commasIn(one), 0)
    }
    fc.assert(
      fc.property(fc.oneof(values, nested), spaces, fc.integer({ min: 0, max: 6 }), (value, space, limit) => {
        expect(hasMoreCommasThan(JSON.stringify(value, null, space), limit)).toBe(commasIn(value) > limit)
      }),
    )
  })

  it('reads ten megabytes of text in far less time than parsing takes', () => {
    for (const unit of ['1,', '"a",', '"\\",', 'text, ']) {
      const text = `["${unit.startsWith('text') ? '' : '",'}${unit.repeat((10 * 1024 * 1024) / unit.length)}`
      const before = performance.now()
      hasMoreCommasThan(text, 10_000_000)
      expect(performance.now() - before).toBeLessThan(500)
    }
  })
})

describe('findJsonFault', () => {
  it('finds nothing in JSON', () => {
    fc.assert(
      fc.property(fc.oneof(values, nested), spaces, (value, space) => {
        expect(findJsonFault(JSON.stringify(value, null, space))).toBeUndefined()
      }),
    )
  })

  it('finds a fault exactly where the engine refuses a text', () => {
    const damaged = fc.tuple(
      fc.oneof(values, nested),
      fc.nat(),
      fc.string({ unit: anyCharacter, maxLength: 3 }),
      fc.nat(3),
    )
    fc.assert(
      fc.property(damaged, ([value, seed, inserted, removed]) => {
        const text = JSON.stringify(value)
        const at = seed % (text.length + 1)
        const broken = text.slice(0, at) + inserted + text.slice(at + removed)
        expect(findJsonFault(broken) === undefined).toBe(parses(broken))
      }),
      { numRuns: count(600, 2000) },
    )
  })

  it('names the first character that cannot be', () => {
    expect(findJsonFault('{"a":1,}')).toBe(7)
    expect(findJsonFault('[1 2]')).toBe(3)
    expect(findJsonFault('{"a":tru}')).toBe(8)
    expect(findJsonFault('"a\nb"')).toBe(2)
    expect(findJsonFault('[1,')).toBe(3)
    expect(findJsonFault('{} x')).toBe(3)
    expect(findJsonFault('01')).toBe(1)
  })
})
