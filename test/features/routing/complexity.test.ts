import { describe, expect, it } from 'vitest'
import type { ChatBody } from '../../../src/core/models.ts'
import { classify } from '../../../src/features/routing/complexity.ts'
import { featuresOf, taskOf } from '../../../src/features/routing/features.ts'

const said = (content: unknown, more: Partial<ChatBody> = {}) =>
  classify(featuresOf({ messages: [{ role: 'user', content }], ...more }))
const words = (tokens: number) => 'word'.repeat(tokens)
const tools = [{ type: 'function', function: { name: 'f' } }]
const image = [{ type: 'image_url', image_url: { url: 'https://a.test/b.png' } }]

describe('how complex a request looks', () => {
  it.each<[string, ReturnType<typeof said>, object]>([
    ['nothing special', said('Hello'), {}],
    ['500 tokens', said(words(500)), {}],
    ['501 tokens', said(words(501)), { input_tokens: 1 }],
    ['2001 tokens', said(words(2001)), { input_tokens: 2 }],
    ['tools', said('Hi', { tools }), { tools: 1 }],
    ['an empty list of tools', said('Hi', { tools: [] }), {}],
    ['a schema', said('Hi', { response_format: { type: 'json_schema' } }), { json_schema: 1 }],
    ['JSON of any form', said('Hi', { response_format: { type: 'json_object' } }), {}],
    ['a block of code', said('See\n```\nx\n```'), { code: 1 }],
    ['a diff', said('--- a/x\n+++ b/x'), { code: 1 }],
    ['an image', said(image), { media: 1, input_tokens: 1 }],
    ['a sound', said([{ type: 'input_audio', input_audio: { data: 'AA' } }]), { media: 1, input_tokens: 1 }],
    ['a word of reasoning', said('Please compare them.'), { reasoning_words: 1 }],
    ['the same word twice', said('Compare, and compare again.'), { reasoning_words: 1 }],
    ['three words of reasoning', said('Plan and design it, step by step.'), { reasoning_words: 2 }],
    ['words that only look like it', said('The planet improves; designated areas.'), {}],
    ['hard thinking', said('Hi', { reasoning_effort: 'high' }), { reasoning_effort: 2 }],
    ['some thinking', said('Hi', { reasoning_effort: 'medium' }), {}],
  ])('counts %s', (_what, { counted, points }, expected) => {
    expect(counted).toEqual(expected)
    expect(points).toBe(Object.values(expected).reduce((sum, one) => sum + one, 0))
  })

  it('is told in three classes', () => {
    const classOf = (points: number) => {
      const effort = points >= 2 ? { reasoning_effort: 'high' } : {}
      const left = points >= 2 ? points - 2 : points
      const content = ['', 'compare', 'compare and plan'][left] ?? ''
      return said(content, effort)
    }
    const told = [0, 1, 2, 3, 4].map((points) => classOf(points))
    expect(told.map(({ points }) => points)).toEqual([0, 1, 2, 3, 4])
    expect(told.map(({ complexity }) => complexity)).toEqual(['simple', 'simple', 'medium', 'medium', 'complex'])
  })

  it('counts the eleventh message, and what the model itself said is no word of reasoning', () => {
    const many = Array.from({ length: 11 }, () => ({ role: 'assistant', content: 'I plan to compare and prove it.' }))
    expect(classify(featuresOf({ messages: many })).counted).toEqual({ messages: 1 })
    expect(classify(featuresOf({ messages: many.slice(1) })).counted).toEqual({})
  })

  it('takes the effort that another wire names', () => {
    expect(classify(featuresOf({ messages: [] }, 'max')).counted).toEqual({ reasoning_effort: 2 })
  })

  it('does not read more than the newest of a long conversation', () => {
    const old = { role: 'user', content: 'prove it' }
    const long = { role: 'user', content: 'x'.repeat(40_000) }
    expect(classify(featuresOf({ messages: [old, long] })).counted).toEqual({ input_tokens: 2 })
    expect(classify(featuresOf({ messages: [long, old] })).counted).toEqual({ input_tokens: 2, reasoning_words: 1 })
  })

  it('takes parts as they come', () => {
    const strange = [null, { type: 'text' }, { type: 'text', text: 'plan' }, { type: 'file', file: {} }]
    expect(said(strange).counted).toEqual({ reasoning_words: 1, input_tokens: 1 })
  })
})

describe('what a request is for', () => {
  it.each([
    ['text_generation', [{ role: 'user', content: 'Hi' }]],
    ['text_generation', []],
    ['code_generation', [{ role: 'user', content: 'Why?\n```js\n1\n```' }]],
    ['code_generation', [{ role: 'user', content: [{ type: 'text', text: '```' }] }]],
    ['image_analysis', [{ role: 'user', content: image }]],
  ])('is %s', (task, messages) => {
    expect(taskOf(messages)).toBe(task)
  })
})
