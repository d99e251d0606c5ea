import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boxOf, boxUnitOf, overlapOf, positionOf, toldUnit } from '../../../src/features/vision/boxes.ts'
import { meanConfidence } from '../../../src/features/vision/confidence.ts'
import { blocksIn } from '../../../src/features/vision/extract.ts'
import { confidenceOf, countsOf, objectsIn, type Told } from '../../../src/features/vision/objects.ts'
import { count } from '../../support/lane.ts'

const image = { width: 800, height: 400 }
const corners = (x1: number, y1: number, x2: number, y2: number) => ({ x1, y1, x2, y2 })
const told = (name: string, box: [number, number, number, number], confidence: number | null = 0.5): Told => ({
  name,
  box: corners(...box),
  confidence,
})
const sighting = { unit: 'shares', image, labels: [], minConfidence: 0 } as const

describe('the unit of boxes', () => {
  it.each([
    ['ollama/qwen2.5vl:7b', 'pixels'],
    ['ollama/qwen2.5-vl:7b', 'pixels'],
    ['gpu/qwen3-vl:8b', 'thousandths'],
    ['gpu/gemma3:12b', 'thousandths'],
    ['gpu/llava:7b', 'shares'],
  ])('that %s is asked for is %s', (model, unit) => {
    expect(boxUnitOf(model)).toBe(unit)
  })

  it('that was told is seen from the numbers', () => {
    expect(toldUnit([corners(0, 0, 1, 1.02)], 'pixels', image)).toBe('shares')
    expect(toldUnit([corners(0, 0, 790, 390)], 'shares', image)).toBe('pixels')
    expect(toldUnit([corners(0, 0, 500, 900)], 'shares', image)).toBe('thousandths')
    expect(toldUnit([corners(0, 0, 500, 300)], 'thousandths', image)).toBe('thousandths')
    expect(toldUnit([], 'pixels', image)).toBe('shares')
  })

  it('makes the same box of the same place', () => {
    const box = { x: 0.25, y: 0.5, width: 0.5, height: 0.25 }
    expect(boxOf(corners(0.25, 0.5, 0.75, 0.75), 'shares', image)).toEqual(box)
    expect(boxOf(corners(250, 500, 750, 750), 'thousandths', image)).toEqual(box)
    expect(boxOf(corners(600, 300, 200, 200), 'pixels', image)).toEqual(box)
  })
})

describe('boxes', () => {
  it('are inside of the picture with an area, or none, whatever was told', () => {
    const number = fc.double({ min: -3000, max: 3000, noNaN: true })
    const unit = fc.constantFrom('shares' as const, 'thousandths' as const, 'pixels' as const)
    fc.assert(
      fc.property(fc.tuple(number, number, number, number), unit, (at, of) => {
        const box = boxOf(corners(...at), of, image)
        if (!box) return
        expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(0)
        expect(box.x + box.width).toBeLessThanOrEqual(1 + 1e-9)
        expect(box.y + box.height).toBeLessThanOrEqual(1 + 1e-9)
        expect(box.width * box.height).toBeGreaterThan(0)
        expect(overlapOf(box, box)).toBeCloseTo(1)
        expect(positionOf(box)).toMatch(/^(?:(?:top|bottom)(?:-left|-right)?|left|center|right)$/)
      }),
      { numRuns: count(100, 2000) },
    )
  })

  it('without an area are none', () => {
    expect(boxOf(corners(0.2, 0.2, 0.2, 0.9), 'shares', image)).toBeUndefined()
    expect(boxOf(corners(1.2, 0, 1.4, 1), 'shares', image)).toBeUndefined()
  })

  it.each([
    [[0, 0, 0.2, 0.2], 'top-left'],
    [[0.4, 0, 0.6, 0.2], 'top'],
    [[0.8, 0.4, 1, 0.6], 'right'],
    [[0, 0, 1, 1], 'center'],
    [[0.7, 0.8, 1, 1], 'bottom-right'],
  ] as const)('at %j are at the %s', ([x1, y1, x2, y2], position) => {
    expect(positionOf(boxOf(corners(x1, y1, x2, y2), 'shares', image) ?? { x: 0, y: 0, width: 0, height: 0 })).toBe(
      position,
    )
  })
})

describe('objects', () => {
  it('are each there once, as the model was surest of them', () => {
    const found = objectsIn(
      [
        told('cup', [0.1, 0.1, 0.5, 0.5], 0.4),
        told('Cup', [0.1, 0.1, 0.5, 0.51], 0.9),
        told('cup', [0.1, 0.1, 0.5, 0.505], 0.9),
        told('dog', [0.1, 0.1, 0.5, 0.5], 0.4),
        told('cup', [0.6, 0.6, 0.9, 0.9]),
        told('dust', [0.3, 0.3, 0.3, 0.3]),
      ],
      sighting,
    )
    expect(found.map(({ name, confidence }) => [name, confidence])).toEqual([
      ['Cup', 0.9],
      ['dog', 0.4],
      ['cup', 0.5],
    ])
    expect(countsOf(found)).toEqual({ Cup: 1, dog: 1, cup: 1 })
  })

  it('are those that were asked for, by the name that they were asked for by', () => {
    const seen = [told(' CUP ', [0, 0, 0.5, 0.5]), told('dog', [0, 0, 0.5, 0.5])]
    expect(objectsIn(seen, { ...sighting, labels: ['Cup', 'cat'] }).map(({ name }) => name)).toEqual(['Cup'])
  })

  it('are sure enough, and what has no confidence reaches none', () => {
    const seen = [told('a', [0, 0, 0.5, 0.5], 0.7), told('b', [0, 0, 0.5, 0.5], null), told('c', [0, 0, 1, 1], 0.2)]
    expect(objectsIn(seen, { ...sighting, minConfidence: 0.5 }).map(({ name }) => name)).toEqual(['a'])
    expect(objectsIn(seen, sighting)).toHaveLength(3)
  })

  it('count for as much as they cover', () => {
    const seen = [told('a', [0, 0, 1, 0.3], 1), told('b', [0, 0.9, 1, 1], 0), told('c', [0, 0, 1, 1], null)]
    expect(confidenceOf(objectsIn(seen, sighting))).toBeCloseTo(0.75)
    expect(confidenceOf([])).toBeNull()
    expect(meanConfidence([{ confidence: null, weight: 5 }])).toBeNull()
  })
})

describe('blocks of text', () => {
  it('keep their line breaks, and are none where they say nothing', () => {
    const blocks = blocksIn(
      [
        { text: 'One\r\n two\n', box: corners(0, 0, 0.5, 0.5), confidence: 0.8 },
        { text: ' \n', box: null, confidence: 1 },
        { text: 'flat', box: corners(0, 0.5, 1, 0.5), confidence: null },
      ],
      { unit: 'shares', image, layout: true },
    )
    expect(blocks).toEqual([
      { text: 'One\n two', box: { x: 0, y: 0, width: 0.5, height: 0.5 }, confidence: 0.8 },
      { text: 'flat', box: null, confidence: null },
    ])
  })
})
