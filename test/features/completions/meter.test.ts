import { describe, expect, it } from 'vitest'
import type { ChatChunk, ChunkChoice } from '../../../src/core/models.ts'
import { estimateTokens } from '../../../src/core/tokens.ts'
import { createMeter, isContent } from '../../../src/features/completions/meter.ts'

const part = (choices: Partial<ChunkChoice>[], usage?: ChatChunk['usage']) => {
  const chunk: ChatChunk = {
    choices: choices.map((choice) => ({ index: 0, delta: {}, ...choice })),
    ...(usage === undefined ? {} : { usage }),
  }
  return { chunk, json: JSON.stringify(chunk) }
}
const says = (content: string, index = 0) => part([{ index, delta: { content } }])
const usage = (prompt: number, completion: number) =>
  part([], { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion })

describe('a meter', () => {
  it('has counted nothing at the beginning', () => {
    const meter = createMeter()
    expect(meter.reported()).toBeUndefined()
    expect([meter.delivered(), meter.running(), meter.started()]).toEqual([0, 0, false])
    expect(meter.open()).toEqual([])
  })

  it('believes the last of what the vendor says, and adds nothing up', () => {
    const meter = createMeter()
    meter.take(usage(5, 1))
    meter.take(usage(5, 9))
    expect(meter.reported()).toMatchObject({ prompt: 5, completion: 9 })
  })

  it('never reports less than nothing, nor a part that is more than its whole', () => {
    const meter = createMeter()
    meter.take(
      part([], {
        prompt_tokens: -3,
        completion_tokens: 4,
        total_tokens: 1,
        prompt_tokens_details: { cached_tokens: 50 },
        completion_tokens_details: { reasoning_tokens: 50 },
      }),
    )
    expect(meter.reported()).toEqual({ prompt: 0, cached: 0, cacheWrite: 0, completion: 4, reasoning: 4 })
  })

  it('takes chunks for tokens where they look like tokens', () => {
    const meter = createMeter()
    for (const word of ['The', ' sky', ' is', ' blue']) meter.take(says(word))
    expect(meter.delivered()).toBe(4)
  })

  it('estimates text that comes in large pieces, or one letter at a time', () => {
    const text = 'A long sentence that came in one piece from its vendor.'
    const inOne = createMeter()
    inOne.take(says(text))
    expect(inOne.delivered()).toBe(estimateTokens(text))
    const inLetters = createMeter()
    for (const letter of text) inLetters.take(says(letter))
    expect(inLetters.delivered()).toBe(estimateTokens(text))
  })

  it('estimates a very long text as it would in one go, give or take a token a block', () => {
    const text = 'word after word after word, '.repeat(2000)
    const meter = createMeter()
    for (let at = 0; at < text.length; at += 100) meter.take(says(text.slice(at, at + 100)))
    expect(Math.abs(meter.delivered() - estimateTokens(text))).toBeLessThanOrEqual(text.length / 4096 + 1)
  })

  it('runs ahead of what it estimates, so that a hold is not outgrown', () => {
    const meter = createMeter()
    const text = '世界上有很多语言。'
    meter.take(says(text))
    // A token a sign, and all of them in one piece.
    expect(meter.running()).toBeGreaterThanOrEqual(text.length)
    for (let at = 0; at < 50; at++) meter.take(says('a'))
    expect(meter.running()).toBeGreaterThanOrEqual(51)
  })

  it('knows which choices wait for their end, and what end would fit them', () => {
    const meter = createMeter()
    meter.take(says('a', 0))
    meter.take(says('b', 1))
    meter.take(part([{ index: 2, delta: { tool_calls: [{ index: 0, function: { name: 'f' } }] } }]))
    meter.take(part([{ index: 0, finish_reason: 'stop' }]))
    expect(meter.open()).toEqual([
      { index: 1, reason: 'stop' },
      { index: 2, reason: 'tool_calls' },
    ])
  })
})

describe('content', () => {
  it.each([
    ['text', { content: 'a' }],
    ['a refusal', { refusal: 'no' }],
    ['reasoning', { reasoning_content: 'hm' }],
    ['reasoning under its other name', { reasoning: 'hm' }],
    ['the name of a function', { tool_calls: [{ index: 0, function: { name: 'f', arguments: '' } }] }],
    ['arguments', { tool_calls: [{ index: 0, function: { arguments: '{' } }] }],
    ['the name of a custom tool', { tool_calls: [{ index: 0, custom: { name: 'n', input: '' } }] }],
    ['the input of a custom tool', { tool_calls: [{ index: 0, custom: { input: 'x' } }] }],
    ['the old function call', { function_call: { name: 'f' } }],
  ])('is %s', (_name, delta) => {
    expect(isContent(part([{ delta }]))).toBe(true)
    const meter = createMeter()
    meter.take(part([{ delta }]))
    expect(meter.started()).toBe(true)
  })

  it('is the end of a choice, but no role, no empty text and no usage', () => {
    expect(isContent(part([{ finish_reason: 'stop' }]))).toBe(true)
    expect(isContent(part([{ delta: { role: 'assistant', content: '' } }]))).toBe(false)
    expect(isContent(part([{ delta: { content: null }, finish_reason: null }]))).toBe(false)
    expect(isContent(usage(1, 1))).toBe(false)
  })
})
