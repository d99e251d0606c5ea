import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assign, unitOf } from '../../../src/features/routing/experiment.ts'
import { count } from '../../support/lane.ts'

const variants = [
  { name: 'a', weight: 1 },
  { name: 'b', weight: 2 },
  { name: 'c', weight: 5 },
]

describe('the variant of a unit', () => {
  it('is always the same', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (id, unit) => {
        expect(assign({ id, variants }, unit)).toEqual(assign({ id, variants }, unit))
      }),
    )
  })

  it('is as frequent as its weight says, and independent of that in another experiment', () => {
    const units = count(8000, 100_000)
    const both = new Map<string, number>()
    for (let unit = 0; unit < units; unit += 1) {
      const names = ['exp_1', 'exp_2'].map((id) => assign({ id, variants }, `usr_${unit}`)?.variant.name)
      both.set(names.join(), (both.get(names.join()) ?? 0) + 1)
    }
    for (const one of variants) {
      for (const other of variants) {
        const expected = (one.weight * other.weight) / 64
        const share = (both.get(`${one.name},${other.name}`) ?? 0) / units
        // Five standard deviations of a share of that many.
        expect(Math.abs(share - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / units))
      }
    }
  })

  it('says how likely it was', () => {
    const likely = new Map(
      Array.from({ length: 100 }, (_, unit) => assign({ id: 'exp', variants }, String(unit))).map((assigned) => [
        assigned?.variant.name,
        assigned?.propensity,
      ]),
    )
    expect(Object.fromEntries(likely)).toEqual({ a: 1 / 8, b: 2 / 8, c: 5 / 8 })
  })
})

describe('the unit of an experiment', () => {
  const caller = { userId: 'usr_1', keyId: 'key_1' }

  it('is the person, the key or the request', () => {
    expect(unitOf({ unit: 'user' }, caller, undefined)).toBe('usr_1')
    expect(unitOf({ unit: 'key' }, caller, undefined)).toBe('key_1')
    expect(unitOf({ unit: 'request' }, caller, 'req_1')).toBe('req_1')
  })

  it('is the key where nobody made it, and unknown while the request has no id', () => {
    expect(unitOf({ unit: 'user' }, { keyId: 'key_1' }, undefined)).toBe('key_1')
    expect(unitOf({ unit: 'request' }, caller, undefined)).toBeUndefined()
  })
})
