import { describe, expect, it } from 'vitest'
import type { Figures } from '../../../src/core/routing.ts'
import { choicesFor, type Weighed } from '../../../src/features/routing/choice.ts'
import type { RoutingWish } from '../../../src/features/routing/options.ts'
import type { Shape } from '../../../src/features/routing/shape.ts'
import { type Weighing, weigh } from '../../../src/features/routing/weigh.ts'
import { live, node, provider, world } from './world.ts'

const some = world([provider('openai'), provider('deepseek'), node('shed')], {
  shed: [{ name: 'llama3.1:8b', capabilities: ['completion', 'tools'], contextWindow: 8192 }],
})
const caller = { ...live, keyId: 'key_1' }

const shape: Shape = {
  stream: false,
  inputTokens: 1000,
  maxOutputTokens: undefined,
  choices: 1,
  complexity: 'medium',
  taskType: 'text_generation',
  needs: [],
}

const figures = (given: Partial<Figures>): Figures => ({
  calls: 100,
  latencyMs: undefined,
  latencyP95Ms: undefined,
  ttftMs: undefined,
  tokensPerSecond: undefined,
  errorRate: 0,
  outputTokens: undefined,
  ...given,
})

function choiceOf(routing: RoutingWish): Weighed {
  const [choice] = choicesFor(some, caller, { wanted: { model: 'auto', kind: 'chat', routing } })
  if (choice?.kind !== 'weighed') throw new Error('nothing is to be weighed')
  return choice
}

const weighed = (routing: RoutingWish, given: Partial<Weighing> = {}) =>
  weigh({
    choice: choiceOf(routing),
    shape,
    standing: { openBreakers: new Map(), nowMs: 0 },
    figuresOf: () => undefined,
    marked: undefined,
    unpaid: () => undefined,
    random: 0.5,
    turn: undefined,
    ...given,
  }).plan

const optionOf = (plan: ReturnType<typeof weighed>, id: string) => plan.inputs?.options.find((one) => one.id === id)
const known = (id: string, one: Partial<Figures>) => (target: { id: string }) =>
  target.id === id ? figures(one) : undefined

describe('what a plan knows of a candidate', () => {
  const gpt4o = 'openai/gpt-4o'

  it('is what its strategy looks at, and no more', () => {
    expect(optionOf(weighed({ strategy: 'cost' }), gpt4o)).toEqual({
      id: gpt4o,
      priority: expect.any(Number),
      cost_nanos: 1000 * 2500 + 500 * 10_000,
      dear: true,
    })
    expect(optionOf(weighed({ strategy: 'quality' }), gpt4o)).toEqual({
      id: gpt4o,
      priority: expect.any(Number),
      quality: 9,
    })
    expect(optionOf(weighed({ strategy: 'weighted' }), gpt4o)).toEqual({ id: gpt4o, priority: expect.any(Number) })
    expect(optionOf(weighed({ strategy: 'weighted', caps: { maxLatencyMs: 5000 } }), gpt4o)).toMatchObject({
      latency_ms: 1800,
    })
  })

  it('is the output that is usual there, unless the caller allows less', () => {
    const figuresOf = known(gpt4o, { outputTokens: 200 })
    const cost = (more: Partial<Shape>) =>
      optionOf(weighed({ strategy: 'cost' }, { figuresOf, shape: { ...shape, ...more } }), gpt4o)?.cost_nanos
    expect(cost({})).toBe(1000 * 2500 + 200 * 10_000)
    expect(cost({ maxOutputTokens: 50 })).toBe(1000 * 2500 + 50 * 10_000)
    expect(cost({ maxOutputTokens: 4000, choices: 2 })).toBe(1000 * 2500 + 400 * 10_000)
  })

  it('is what was measured of fifty calls and more: to the first content for streams, to the end for others', () => {
    const latency = (calls: number, stream: boolean) => {
      const figuresOf = known(gpt4o, { calls, latencyMs: 900, ttftMs: 250 })
      return optionOf(weighed({ strategy: 'latency' }, { figuresOf, shape: { ...shape, stream } }), gpt4o)?.latency_ms
    }
    expect([latency(49, false), latency(50, false), latency(50, true)]).toEqual([1800, 900, 250])
  })

  it('is the mean of its marks, drawn to what was expected', () => {
    const marked = { [gpt4o]: [5, 20] } as const
    const plan = weighed({ strategy: 'quality' }, { marked })
    expect(optionOf(plan, gpt4o)?.quality).toBe(7)
    expect(optionOf(plan, 'shed/llama3.1:8b')?.quality).toBe(7.8)
  })

  it('is how busy it is for what it takes at once, and how well it is', () => {
    const figuresOf = (target: { id: string }) => figures({ inFlight: target.id === gpt4o ? 8 : 1, errorRate: 0.25 })
    const states = new Map([[gpt4o, { kind: 'probe' as const, id: gpt4o, slot: 1, untilMs: 1 }]])
    const standing: Weighing['standing'] = { openBreakers: new Map(), states, nowMs: 0 }
    const plan = weighed({ strategy: 'health_based' }, { figuresOf, standing })
    expect(optionOf(plan, gpt4o)).toMatchObject({ load: 0.25, health: 0.5, error_rate: 0.25, latency_ms: 1800 })
    expect(optionOf(plan, 'shed/llama3.1:8b')).toMatchObject({ load: 0.25, health: 1 })
  })

  it('of a node is what it lists, at no cost, and what is expected of the family', () => {
    const own = 'shed/llama3.1:8b'
    expect(optionOf(weighed({ strategy: 'smart' }), own)).toMatchObject({
      cost_nanos: 0,
      quality: 7.8,
      latency_ms: 1500,
    })
    const needs = (...some: Shape['needs'][number][]) =>
      optionOf(weighed({ strategy: 'smart' }, { shape: { ...shape, needs: some } }), own)?.out
    expect([needs('json_schema'), needs('tools'), needs('vision')]).toEqual([undefined, undefined, 'lacks_vision'])
    const long = { ...shape, inputTokens: 7800 }
    expect(optionOf(weighed({ strategy: 'smart' }, { shape: long }), own)?.out).toBe('window_too_small')
  })
})

describe('the time that a plan gives its targets', () => {
  const timesOf = (plan: ReturnType<typeof weighed>) =>
    Object.fromEntries(plan.targets.map(({ target, timeoutMs }) => [target.provider.name, timeoutMs]))
  const openaiFirst = { figuresOf: known('openai/gpt-4o', { latencyMs: 10, ttftMs: 10 }) }

  it('is the built-in one under `latency`, for whole answers', () => {
    expect(timesOf(weighed({ strategy: 'latency' }, openaiFirst))).toMatchObject({ openai: 15_000 })
    const streamed = { ...openaiFirst, shape: { ...shape, stream: true } }
    expect(timesOf(weighed({ strategy: 'latency' }, streamed)).openai).toBeUndefined()
  })

  it("is the caller's own where they set one", () => {
    expect(timesOf(weighed({ strategy: 'latency', timeoutMs: 2000 }, openaiFirst))).toMatchObject({ openai: 2000 })
  })
})
