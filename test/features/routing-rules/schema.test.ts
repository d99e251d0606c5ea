import { describe, expect, it } from 'vitest'
import { rulesOf, saysSame, viewOfRules } from '../../../src/features/routing-rules/rules.ts'
import { PolicyBody } from '../../../src/features/routing-rules/schema.ts'
import { mergePatch } from '../../../src/http/merge-patch.ts'
import { full, plain } from './world.ts'

describe('a routing policy', () => {
  it.each([
    ['an unknown strategy', { strategy: 'luck' }],
    ['a tenth decimal', { targets: [{ provider: 'a', max_cost_per_token_usd: 0.0000000001 }] }],
    ['a target twice', { targets: [{ provider: 'a' }, { provider: 'a' }] }],
    ['more targets than fifty', { targets: Array.from({ length: 51 }, (_, at) => ({ provider: `p${at}` })) }],
    ['no weight at all', { targets: [{ provider: 'a', weight: 0 }] }],
    ['a chain of six', { fallbacks: { a: ['1', '2', '3', '4', '5', '6'] } }],
    [
      'more chains than fifty',
      { fallbacks: Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`m${at}`, []])) },
    ],
    ['caps of no class', { caps: { hard: {} } }],
    ['a quality above ten', { caps: { simple: { min_quality: 11 } } }],
    ['one variant', { experiment: { unit: 'key', variants: [{ name: 'a', weight: 1 }] } }],
    ['a variant twice', { experiment: { unit: 'key', variants: Array(2).fill({ name: 'a', weight: 1 }) } }],
    ['a share above one', { bandit: { epsilon: 1.1 } }],
    ['a field that it does not have', { hedge: true }],
    ['no name', { name: ' ' }],
  ])('is refused for %s', (_what, given) => {
    expect(PolicyBody.safeParse({ ...plain, ...given }).success).toBe(false)
  })

  it('may be said in full, and little', () => {
    expect(PolicyBody.parse(full)).toEqual({ ...full, attach: null })
    expect(PolicyBody.parse({ name: 'Little' })).toMatchObject({ strategy: 'priority', targets: [], fallbacks: {} })
  })
})

describe('rules', () => {
  const rules = rulesOf(PolicyBody.parse(full), 'exp_1')

  it('are shown as they were written, in whatever order they were kept', () => {
    const { name: _name, ...said } = full
    const kept = JSON.parse(JSON.stringify({ ...rules, fallbacks: { '*': [], 'gpt-4o': rules.fallbacks['gpt-4o'] } }))
    expect(JSON.parse(JSON.stringify(viewOfRules(kept)))).toEqual(said)
    expect(saysSame(rules, kept)).toBe(true)
  })

  it('are others when anything is', () => {
    expect(saysSame(rules, { ...rules, strategy: 'cost' })).toBe(false)
    expect(saysSame(rules, { ...rules, targets: rules.targets.toReversed() })).toBe(false)
    expect(saysSame(rules, { ...rules, caps: { ...rules.caps, simple: { maxCostNanoUsd: 1 } } })).toBe(false)
  })

  it('name an experiment that has no name', () => {
    const { id: _id, ...experiment } = full.experiment
    expect(rulesOf(PolicyBody.parse({ ...full, experiment }), 'exp_1').experiment?.id).toBe('exp_1')
  })
})

describe('a merge patch', () => {
  // https://www.rfc-editor.org/rfc/rfc7396#appendix-A
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j with %j is %j', (document, patch, merged) => {
    expect(mergePatch(document, patch)).toEqual(merged)
  })

  it('leaves what every object has alone', () => {
    const merged = mergePatch({}, JSON.parse('{"__proto__": {"isBad": true}}'))
    expect('isBad' in Object(merged)).toBe(false)
  })
})
