import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Candidate } from '../../../src/features/node-models/score.ts'
import { select, type Wanted } from '../../../src/features/node-models/select.ts'
import { candidate, NOW, runs, state } from './world.ts'

const wish = (given: Partial<Wanted> = {}): Wanted => ({
  taskType: 'text_generation',
  capability: 'completion',
  priority: 'balanced',
  ...given,
})
const chosenOf = (candidates: readonly Candidate[], given: Partial<Wanted> = {}) =>
  select(candidates, wish(given), NOW)?.chosen.id
const partsOf = (one: Candidate, given: Partial<Wanted> = {}) => select([one], wish(given), NOW)?.chosen.parts

describe('the points of a model', () => {
  it('are 40 for what it was made for, 30 for what it can do too, 20 where only its name says so', () => {
    expect(partsOf(candidate('n/llama'))?.capability).toBe(40)
    expect(partsOf(candidate('n/qwen-coder'))?.capability).toBe(30)
    expect(partsOf(candidate('n/qwen-coder'), { taskType: 'code_generation' })?.capability).toBe(40)
    expect(partsOf(candidate('n/llama'), { taskType: 'code_generation' })?.capability).toBe(30)
    expect(partsOf(candidate('n/llama', { has: { capabilitySource: 'name' } }))?.capability).toBe(20)
  })

  it('for calls are those of the three thirds, and half where nobody has called', () => {
    const measured = candidate('n/llama', { runs: runs({ meanMs: 2500, ok: 40, tokensPerSecond: 25 }) })
    expect(partsOf(measured)?.performance).toBeCloseTo(5 + 8 + 5)
    const slow = candidate('n/llama', { runs: runs({ meanMs: 9000, ok: 50, tokensPerSecond: 500 }) })
    expect(partsOf(slow)?.performance).toBeCloseTo(0 + 10 + 10)
    expect(partsOf(candidate('n/llama'))?.performance).toBe(15)
  })

  it('of few calls lean on the others', () => {
    const many = candidate('n/often', { runs: runs({ calls: 90, ok: 90, meanMs: 1000, tokensPerSecond: undefined }) })
    const few = candidate('n/once', { runs: runs({ calls: 1, ok: 0, meanMs: undefined, tokensPerSecond: undefined }) })
    const [one, other] = [select([many, few], wish(), NOW)?.chosen, select([many, few], wish(), NOW)?.fallbacks[0]]
    expect(one?.parts.performance).toBeCloseTo(18)
    const others = (18 * 90 + 0) / 91
    expect(other?.parts.performance).toBeCloseTo((0 + 10 * others) / 11)
  })

  it.each([
    ['balanced', [0.5, 2, 5, 8, 24, 40, 100], [5, 15, 15, 15, 10, 5, 5]],
    ['speed', [0.5, 20.25, 40], [15, 10, 5]],
    ['quality', [0.5, 20.25, 40], [5, 10, 15]],
  ] as const)('for size follow the rule of %s', (priority, gigabytes, points) => {
    const found = gigabytes.map((gb) => partsOf(candidate('n/m', { has: { sizeMb: gb * 1000 } }), { priority })?.size)
    expect(found).toEqual(points)
  })

  it('for use are 10 when it is loaded, and fewer the longer ago it was', () => {
    const loaded = { name: 'm', vramMb: 4000, untilMs: undefined }
    expect(partsOf(candidate('n/m', { state: state({ loaded: [loaded] }) }))?.recency).toBe(10)
    const ago = (seconds: number) => partsOf(candidate('n/m', { runs: runs({ lastAt: NOW - seconds }) }))?.recency
    expect([ago(60), ago(3600), ago(86_399), ago(86_400)]).toEqual([7, 4, 4, 0])
  })

  it('for room are given to what need not drive anything out', () => {
    const other = { name: 'other', vramMb: 4000, untilMs: undefined }
    const gpu = { count: 1, name: 'card', memoryMb: 24_000, freeMb: 4500 }
    const room = (has: number, given: Partial<ReturnType<typeof state>>) =>
      partsOf(candidate('n/m', { has: { sizeMb: has }, state: state(given) }))?.fit
    expect(room(4000, { gpu })).toBe(5)
    expect(room(5000, { gpu })).toBe(0)
    expect(room(5000, {})).toBe(5)
    expect(room(5000, { loaded: [other] })).toBe(0)
    expect(room(5000, { gpu, loaded: [{ ...other, name: 'm' }] })).toBe(5)
  })

  it('are more for what the caller wants most, and never above 100', () => {
    const quick = candidate('n/m', { runs: runs({ tokensPerSecond: 4 }) })
    expect(partsOf(quick, { priority: 'speed' })?.bonus).toBe(8)
    expect(partsOf(candidate('n/m', { has: { sizeMb: 1500 } }), { priority: 'quality' })?.bonus).toBe(15)
    expect(partsOf(quick)?.bonus).toBe(0)
    const best = candidate('n/m', {
      runs: runs({ meanMs: 1, tokensPerSecond: 100 }),
      state: state({ loaded: [{ name: 'm', vramMb: 1, untilMs: undefined }] }),
    })
    expect(select([best], wish({ priority: 'speed' }), NOW)?.chosen.score).toBe(100)
  })
})

describe('a choice', () => {
  it('for speed is the one that was measured to be quicker, also where both have all points', () => {
    const loaded = state({
      loaded: ['slow', 'quick'].map((name) => ({ name, vramMb: 1, untilMs: undefined })),
    })
    const both = (tokensPerSecond: number) => [
      candidate('n/slow', { state: loaded, runs: runs({ meanMs: 800, tokensPerSecond }) }),
      candidate('n/quick', { state: loaded, runs: runs({ meanMs: 200, tokensPerSecond }) }),
    ]
    expect(chosenOf(both(5), { priority: 'speed' })).toBe('n/quick')
    expect(chosenOf(both(500), { priority: 'speed' })).toBe('n/quick')
  })

  it('leaves out what cannot do it, is too short, too large or on another kind of server', () => {
    const all = [
      candidate('n/blind'),
      candidate('n/short', { has: { capabilities: ['completion', 'vision'], contextLength: 2048 } }),
      candidate('n/large', { has: { capabilities: ['completion', 'vision'], sizeMb: 90_000 } }),
      candidate('n/agent', { has: { capabilities: ['completion', 'vision'], server: 'agent' } }),
    ]
    const given = { taskType: 'image_analysis', capability: 'vision' } as const
    expect(chosenOf(all, { ...given, contextLength: 4096, maxSizeMb: 80_000 })).toBeUndefined()
    expect(chosenOf(all, { ...given, maxTokens: 2048, maxSizeMb: 80_000 })).toBe('n/short')
    expect(chosenOf(all, { ...given, contextLength: 4096 })).toBe('n/large')
    expect(chosenOf(all, { ...given, capabilities: ['tools'] })).toBeUndefined()
    expect(chosenOf(all, { ...given, content: 'audio' })).toBeUndefined()
  })

  it('falls on an assumed model only where no confirmed one is there', () => {
    const assumed = candidate('n/assumed', { has: { capabilitySource: 'name' }, runs: runs({ meanMs: 1 }) })
    const confirmed = candidate('n/confirmed', { runs: runs({ ok: 1, meanMs: 9000 }) })
    expect(chosenOf([assumed, confirmed])).toBe('n/confirmed')
    const alone = select([assumed], wish(), NOW)
    expect(alone?.chosen.id).toBe('n/assumed')
    expect(alone?.reasons[0]).toMatch(/by its name/)
  })

  it('is of the node that does best among those with the model', () => {
    const at = (node: string, given: Partial<ReturnType<typeof state>>) =>
      candidate(`${node}/m`, { state: state(given) })
    expect(chosenOf([at('busy', { inFlight: { chat: 4 } }), at('idle', {})])).toBe('idle/m')
    expect(chosenOf([at('far', { latencyMs: 900 }), at('near', {})])).toBe('near/m')
    expect(chosenOf([at('ill', { health: 'degraded' }), at('well', {})])).toBe('well/m')
    const ready = { loaded: [{ name: 'm', vramMb: 1, untilMs: undefined }], inFlight: { chat: 2 } }
    expect(chosenOf([at('cold', {}), at('ready', ready)])).toBe('ready/m')
  })

  it('has at most three fallbacks: one other node of the model, then other models', () => {
    const all = ['a/m', 'b/m', 'c/m', 'a/x', 'a/y'].map((id) =>
      candidate(id, { has: { sizeMb: id.endsWith('m') ? 4000 : 20_000 } }),
    )
    const found = select(all, wish(), NOW)
    expect(found?.chosen.id).toBe('a/m')
    expect(found?.fallbacks.map(({ id }) => id)).toEqual(['b/m', 'a/x', 'a/y'])
    expect(found?.others.map(({ id }) => id)).toEqual(['c/m'])
  })

  it('is the surer the further ahead it is and the more often it was measured', () => {
    const sure = (given: Partial<Candidate>) => select([candidate('n/a', given), candidate('n/b')], wish(), NOW)
    expect(sure({})?.confidence).toBeCloseTo(0.1 / 2)
    expect(sure({ runs: runs({ calls: 20, ok: 20, meanMs: 100, tokensPerSecond: 50 }) })?.confidence).toBeGreaterThan(
      0.29,
    )
  })

  it('predicts what was measured, and less for a shorter answer', () => {
    const one = [candidate('n/m', { runs: runs({ meanMs: 1000, meanTokens: 100, tokensPerSecond: 10 }) })]
    expect(select(one, wish(), NOW)?.prediction).toEqual({ ms: 1000, tokensPerSecond: 10 })
    expect(select(one, wish({ maxTokens: 25 }), NOW)?.prediction.ms).toBe(250)
    expect(select([candidate('n/m')], wish(), NOW)?.prediction).toEqual({ ms: undefined, tokensPerSecond: undefined })
  })

  it('keeps its bounds whatever the figures are', () => {
    const figure = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined })
    const some = fc.record({
      calls: fc.nat(1000),
      ok: fc.nat(1000),
      meanMs: figure,
      tokensPerSecond: figure,
      sizeMb: figure,
    })
    fc.assert(
      fc.property(
        fc.array(some, { minLength: 1, maxLength: 8 }),
        fc.constantFrom('speed', 'quality', 'balanced'),
        (list, priority) => {
          const all = list.map(({ calls, ok, sizeMb, ...figures }, at) =>
            candidate(`n/m${at}`, {
              has: { sizeMb },
              runs: runs({ calls: calls + 1, ok: Math.min(ok, calls + 1), ...figures }),
            }),
          )
          const found = select(all, wish({ priority }), NOW)
          if (!found) throw new Error('something can do it')
          const { chosen, fallbacks, others, confidence } = found
          const scores = [chosen, ...fallbacks, ...others].map(({ score }) => score)
          expect(scores).toHaveLength(all.length)
          expect(Math.min(...scores)).toBeGreaterThanOrEqual(0)
          expect(Math.max(...scores)).toBe(chosen.score)
          expect(chosen.score).toBeLessThanOrEqual(100)
          expect(confidence).toBeGreaterThan(0)
          expect(confidence).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})
