import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spanOf } from '../../../src/features/semantic/evidence.ts'
import { canonicalOf, draftGraph, noisyOr, sameAmong, snakeCase } from '../../../src/features/semantic/graph.ts'
import type { GraphTold } from '../../../src/features/semantic/graph-told.ts'
import { count } from '../../support/lane.ts'

const text = 'Ada Lovelace worked with Charles Babbage in London.\nThe  Analytical Engine was designed by Babbage.'
const whole = { start: 0, end: text.length }

type Entity = GraphTold['entities'][number]
type Relation = GraphTold['relations'][number]
const entity = (name: string, type: Entity['type'] = 'person', more: Partial<Entity> = {}): Entity => ({
  name,
  type,
  description: null,
  properties: [],
  confidence: 0.5,
  ...more,
})
const relation = (source: string, target: string, evidence: string, more: Partial<Relation> = {}): Relation => ({
  source,
  target,
  type: 'worked with',
  description: null,
  confidence: 0.5,
  evidence,
  ...more,
})
const none = { vectors: new Map(), names: new Map() }

function graphOf(
  windows: { span?: { start: number; end: number }; told: GraphTold }[],
  known: Parameters<typeof sameAmong>[1] = none,
) {
  const drafts = draftGraph(
    text,
    windows.map(({ span = whole, told }) => ({ span, told })),
  )
  return drafts.finish(sameAmong(drafts.entities, known))
}

describe('evidence', () => {
  it('stands where the text has it, whatever the width of its spaces', () => {
    expect(spanOf(text, 'The Analytical Engine', whole)).toEqual({ start: 52, end: 74 })
    expect(spanOf(text, ' in London. The ', whole)).toEqual({ start: 41, end: 55 })
    expect(spanOf(text, 'worked with Ada', whole)).toBeUndefined()
    expect(spanOf(text, 'ada lovelace', whole)).toBeUndefined()
    expect(spanOf(text, '  ', whole)).toBeUndefined()
    expect(spanOf(text, 'Babbage', { start: 40, end: text.length })).toEqual({ start: 91, end: 98 })
    expect(spanOf(text, 'in London.', { start: 0, end: 45 })).toBeUndefined()
  })

  it('is what any stretch of any text is, letter for letter', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }),
        fc.nat(),
        fc.nat(),
        (any, one, other) => {
          const [start = 0, end = 0] = [one % any.length, other % (any.length + 1)].sort((a, b) => a - b)
          const passage = any.slice(start, end)
          const found = spanOf(any, passage, { start, end })
          if (passage.trim() === '') expect(found).toBeUndefined()
          else expect(found && any.slice(found.start, found.end).split(/\s+/)).toEqual(passage.trim().split(/\s+/))
        },
      ),
      { numRuns: count(200, 5000) },
    )
  })
})

describe('a graph', () => {
  it('has each entity once, surer with every window that names it', () => {
    const told = {
      entities: [entity('Ada Lovelace'), entity('ada  lovelace', 'person', { confidence: 0.2 })],
      relations: [],
    }
    const again = { entities: [entity('“Ada Lovelace”', 'person', { description: 'A mathematician.' })], relations: [] }
    expect(graphOf([{ told }, { told: again }])).toEqual({
      entities: [
        {
          name: 'Ada Lovelace',
          canonicalName: 'ada lovelace',
          type: 'person',
          description: 'A mathematician.',
          properties: {},
          confidence: 0.75,
          mentions: 1,
        },
      ],
      relations: [],
      dropped: 0,
    })
  })

  it('keeps a relation with both ends and a passage of the text, and counts the others', () => {
    const relations = [
      relation('Ada Lovelace', 'Charles Babbage', 'Ada Lovelace worked with Charles Babbage'),
      relation('Ada Lovelace', 'Charles Babbage', 'Ada Lovelace married Charles Babbage'),
      relation('Ada Lovelace', 'Somebody', 'Ada Lovelace worked with'),
      relation('Ada Lovelace', 'Ada Lovelace', 'Ada Lovelace worked with'),
      relation('Ada Lovelace', 'Charles Babbage', 'Ada Lovelace worked with', { type: '!?' }),
    ]
    const graph = graphOf([{ told: { entities: [entity('Ada Lovelace'), entity('Charles Babbage')], relations } }])
    expect(graph.dropped).toBe(4)
    expect(graph.relations).toMatchObject([
      { type: 'worked_with', source: { name: 'Ada Lovelace' }, evidence: [{ start: 0, end: 40 }], confidence: 0.5 },
    ])
  })

  it('takes the passage of a window from that window alone', () => {
    const told = {
      entities: [entity('Ada Lovelace'), entity('Charles Babbage')],
      relations: [relation('Ada Lovelace', 'Charles Babbage', 'designed by Babbage')],
    }
    expect(graphOf([{ span: { start: 0, end: 51 }, told }]).dropped).toBe(1)
    expect(graphOf([{ span: { start: 40, end: text.length }, told }]).dropped).toBe(0)
  })

  it('puts names together that mean the same and are of the same type, with what hangs on them', () => {
    const told = {
      entities: [
        entity('Charles Babbage', 'person', { properties: [{ name: 'born', value: '1791' }] }),
        entity('Babbage', 'person', { properties: [{ name: 'died', value: '1871' }] }),
        entity('Babbages', 'organisation'),
        entity('Analytical Engine', 'product'),
      ],
      relations: [
        relation('Analytical Engine', 'Babbage', 'The Analytical Engine was designed by Babbage', {
          type: 'designedBy',
        }),
        relation('Charles Babbage', 'Babbage', 'Babbage', { type: 'is' }),
      ],
    }
    const vectors = new Map([
      ['person charles babbage', [1, 0]],
      ['person babbage', [0.95, 0.3]],
      ['organisation babbages', [1, 0]],
    ])
    const graph = graphOf([{ told }], { vectors, names: new Map() })
    expect(graph.entities.map(({ name }) => name)).toEqual(['Charles Babbage', 'Babbages', 'Analytical Engine'])
    expect(graph.entities[0]).toMatchObject({ properties: { born: '1791', died: '1871' }, mentions: 3 })
    expect(graph.relations).toMatchObject([
      { type: 'designed_by', source: { name: 'Analytical Engine' }, target: { name: 'Charles Babbage' } },
    ])
    expect(graph.dropped).toBe(1)
    const names = new Map([['person babbage', 'charles babbage']])
    expect(graphOf([{ told }], { vectors: new Map(), names }).entities).toHaveLength(3)
    const apart = new Map([...vectors, ['person babbage', [0.9, 0.43589]]] as const)
    expect(graphOf([{ told }], { vectors: apart, names: new Map() }).entities).toHaveLength(4)
  })

  it('knows names without case, quotes and width, and types as snake_case of at most 63 signs', () => {
    expect(['“The  Times”', 'the times', 'ＴＨＥ ＴＩＭＥＳ.'].map(canonicalOf)).toEqual([
      'the times',
      'the times',
      'the times',
    ])
    expect(['worksFor', 'Works for', ' works-for! ', 'arbeitet für', '---'].map(snakeCase)).toEqual([
      'works_for',
      'works_for',
      'works_for',
      'arbeitet_für',
      '',
    ])
    expect(snakeCase('a b'.repeat(80))).toHaveLength(63)
    expect(noisyOr([0.5, 0.5])).toBe(0.75)
    expect(noisyOr([])).toBe(0)
  })
})
