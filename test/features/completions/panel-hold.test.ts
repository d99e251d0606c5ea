import { describe, expect, it } from 'vitest'
import { covered } from '../../../src/features/completions/panel-hold.ts'
import { targetOf } from '../../../src/features/routing/target.ts'
import { provider } from '../routing/world.ts'

const members = ['a', 'b', 'c'].map((name) => targetOf(provider(name), 'house', undefined))

describe('members that may be asked', () => {
  it.each([
    [undefined, 3],
    [30, 3],
    [29, 2],
    [10, 1],
    [9, 0],
    [0, 0],
  ])('with %o held, and each worth 10, are the first %i', (heldNanoUsd, count) => {
    expect(covered(members, heldNanoUsd, ({ length }) => length * 10)).toEqual(members.slice(0, count))
  })

  it('are all where they cost nothing, and none whose worst case is not known', () => {
    expect(covered(members, 0, () => 0)).toEqual(members)
    expect(covered(members, 1_000_000, () => undefined)).toEqual([])
  })
})
