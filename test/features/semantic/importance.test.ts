import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Dimensions,
  IMPORTANCE_WEIGHTS,
  importanceParts,
  linksIn,
  scoreImportance,
  timeliness,
} from '../../../src/features/semantic/importance.ts'
import { overallQuality, qualityOf } from '../../../src/features/semantic/text-quality.ts'
import { count } from '../../support/lane.ts'

const DAY = 86_400
const nothing: Dimensions = {
  quality: null,
  relevance: null,
  timeliness: null,
  uniqueness: null,
  engagement: null,
  authority: null,
  cross_references: null,
}

describe('importance', () => {
  it('is the sum of its parts by weights that add up to 1, whichever parts are known', () => {
    const Part = fc.option(fc.double({ min: 0, max: 1, noNaN: true }))
    const shape = Object.fromEntries(importanceParts.map((part) => [part, Part]))
    fc.assert(
      fc.property(fc.record(shape), (given) => {
        const dimensions: Dimensions = { ...nothing, ...given }
        const { score, weights, level } = scoreImportance(dimensions)
        const sum = importanceParts.reduce((total, part) => total + weights[part] * (dimensions[part] ?? 0), 0)
        expect(Math.abs(sum - score)).toBeLessThan(1e-6)
        const isAny = importanceParts.some((part) => dimensions[part] !== null)
        expect(importanceParts.reduce((total, part) => total + weights[part], 0)).toBeCloseTo(isAny ? 1 : 0, 9)
        for (const part of importanceParts) if (dimensions[part] === null) expect(weights[part]).toBe(0)
        expect(level).toBe(score > 0.7 ? 'high' : score > 0.4 ? 'medium' : 'low')
      }),
      { numRuns: count(200, 10_000) },
    )
    expect(importanceParts.reduce((total, part) => total + IMPORTANCE_WEIGHTS[part], 0)).toBeCloseTo(1, 12)
  })

  it('has its levels above 0.7 and above 0.4', () => {
    const levels = [0.7, 0.71, 0.4, 0.41].map((quality) => scoreImportance({ ...nothing, quality }).level)
    expect(levels).toEqual(['medium', 'high', 'low', 'medium'])
  })

  it('fades with age, the sooner the more time matters', () => {
    expect(timeliness(1000, 1000 + 14 * DAY, 'medium')).toBeCloseTo(Math.exp(-1), 12)
    expect(timeliness(1000, 1000 + 2 * DAY, 'high')).toBeCloseTo(Math.exp(-1), 12)
    expect(timeliness(1000, 1000 + 90 * DAY, 'low')).toBeCloseTo(Math.exp(-1), 12)
    expect(timeliness(2000, 1000, 'high')).toBe(1)
  })

  it('counts every place that a text leads to once', () => {
    expect(linksIn('See https://a.example/x, (https://b.example) and https://a.example/x.')).toBe(2)
    expect(linksIn('See nothing.')).toBeUndefined()
  })
})

describe('the quality of a text by its form', () => {
  const good =
    'The gateway keeps a budget for every team. Each call holds money from that budget before it is sent. ' +
    'When the answer arrives, the call is booked at what it cost. The money that was held beyond that goes back to the budget.'
  const bad = 'asdf '.repeat(120)

  it('tells a text from noise', () => {
    expect(overallQuality(qualityOf(good))).toBeGreaterThan(overallQuality(qualityOf(bad)) + 0.2)
    expect(qualityOf(good).coherence).toBeGreaterThan(0.6)
    expect(qualityOf(`${'The same sentence stands here again. '.repeat(8)}`).coherence).toBe(0)
    expect(qualityOf('One sentence alone.').coherence).toBeNull()
  })

  it('minds long words in long sentences, and long paragraphs without headings', () => {
    const heavy =
      'Institutionalisation notwithstanding, interdepartmental responsibilities necessitate comprehensive reorganisation.'
    expect(qualityOf(heavy).readability).toBeLessThan(qualityOf('The cat sat on the mat. It was glad.').readability)
    const block = 'Words stand here one after the other. '.repeat(80)
    const marked = `# A heading\n\n${block.slice(0, 900)}\n\n- a list\n\n${block.slice(0, 1100)}\n\n${block.slice(0, 900)}`
    expect(qualityOf(marked).structure).toBeGreaterThan(qualityOf(block).structure + 0.5)
  })

  it('is from 0 to 1 for whatever there is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const quality = qualityOf(text)
        for (const value of [...Object.values(quality), overallQuality(quality)]) {
          if (value !== null) expect(value >= 0 && value <= 1).toBe(true)
        }
      }),
      { numRuns: count(200, 10_000) },
    )
  })
})
