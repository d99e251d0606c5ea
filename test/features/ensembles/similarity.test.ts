import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compare } from '../../../src/features/ensembles/similarity.ts'
import { count } from '../../support/lane.ts'

const essay =
  'The heart pumps blood through two circuits. The right side sends it to the lungs, where it takes up oxygen, and the ' +
  'left side sends it on to the rest of the body. Valves between the chambers keep it from flowing back.'

describe('answers compared', () => {
  it('group 42 with " 42." and leave forty-two by itself', () => {
    expect(compare(['42', ' 42.', 'forty-two']).clusters()).toEqual([[0, 1], [2]])
  })

  it('that are long group when they are nearly the same text', () => {
    const close = essay.replace('rest of the body', 'whole of the body')
    const other =
      'Photosynthesis turns light into sugar. It happens in chloroplasts, in two stages, and sets oxygen free.'
    expect(compare([essay, other, close]).clusters()).toEqual([[0, 2], [1]])
  })

  it('that are short never group by likeness', () => {
    expect(compare(['It is not the case.', 'It is now the case.']).clusters()).toEqual([[0], [1]])
  })

  it('that are JSON group only when every value is the same', () => {
    const wide = Object.fromEntries(Array.from({ length: 40 }, (_none, at) => [`field_${at}`, at]))
    const answers = [wide, { ...wide, field_7: 8 }].map((value) => JSON.stringify(value))
    expect(compare(answers).clusters()).toEqual([[0], [1]])
  })

  it('are as alike one way as the other, from 0 to 1, and wholly alike to themselves', () => {
    fc.assert(
      fc.property(fc.lorem({ maxCount: 40 }), fc.lorem({ maxCount: 40 }), (one, other) => {
        const { similarity } = compare([one, other, one])
        expect(similarity(0, 1)).toBeCloseTo(similarity(1, 0), 12)
        expect(similarity(0, 1)).toBeGreaterThanOrEqual(0)
        expect(similarity(0, 1)).toBeLessThanOrEqual(1)
        expect(similarity(0, 2)).toBe(1)
      }),
      { numRuns: count(100, 1000) },
    )
  })

  it('are each in one cluster, in which every two are alike', () => {
    const answer = fc.constantFrom('42', '42.', 'forty-two', essay, `${essay} `, essay.replace('two', 'its two'), '{}')
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 6 }), (texts) => {
        const { clusters, isAlike } = compare(texts)
        expect(clusters().flat().sort()).toEqual(texts.map((_text, at) => at))
        for (const cluster of clusters())
          for (const one of cluster) for (const other of cluster) expect(isAlike(one, other)).toBe(true)
      }),
      { numRuns: count(200, 2000) },
    )
  })
})
