import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createToolIds } from '../../../src/adapters/providers/anthropic-tool-ids.ts'
import type { ChatMessage } from '../../../src/core/models.ts'
import { checkMessages } from '../../support/fake-vendor/anthropic-rules.ts'
import { count } from '../../support/lane.ts'
import {
  anthropicDecoder,
  blockDelta,
  blockStart,
  blockStop,
  calling,
  end,
  requestOf,
  result,
  start,
  turnsOf,
  user,
} from './anthropic-support.ts'
import { decode, textOf } from './support.ts'

type Block = { type: string; [field: string]: unknown }
type Turn = { role: string; content: Block[] }

/** Back from the vendor's wire, as simply as can be. Ids of calls are compared by their order. */
function backFrom(turns: Turn[]): ChatMessage[] {
  const ids: unknown[] = []
  return turns.flatMap(({ role, content }): ChatMessage[] => {
    const texts = content.filter(({ type }) => type === 'text').map(({ text }) => ({ type: 'text', text }))
    if (role === 'user') {
      const results = content.filter(({ type }) => type === 'tool_result')
      const told = results.map((block) => result(`id${ids.lastIndexOf(block.tool_use_id)}`, block.content ?? ''))
      return [...told, ...(texts.length > 0 ? [user(texts)] : [])]
    }
    const calls = content.filter(({ type }) => type === 'tool_use')
    return [
      {
        role,
        content: texts.length > 0 ? texts : null,
        ...(calls.length === 0
          ? {}
          : { tool_calls: calls.map((block) => called(`id${ids.push(block.id) - 1}`, block)) }),
      },
    ]
  })
}

const called = (id: string, { name, input }: Block) => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(input) },
})

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.trim() !== '')
const texts = fc.array(words, { minLength: 1, maxLength: 3 })
const parts = (said: string[]) => said.map((text) => ({ type: 'text', text }))
const name = fc.stringMatching(/^[a-z_]{1,8}$/)
const input = fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
/** One step of an agent: what it was told, what it called, and what came of that. */
const step = fc.record({
  told: texts,
  said: fc.option(texts, { nil: null }),
  calls: fc.array(fc.record({ name, input, outcome: words }), { minLength: 1, maxLength: 3 }),
})

/** Every call has an id of its own, by the place where it is made. */
function conversation(steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]): ChatMessage[] {
  let calls = 0
  return steps.flatMap(({ told, said, calls: made }) => {
    const first = calls
    calls += made.length
    return [
      user(parts(told)),
      {
        ...calling(...made.map((each, position) => called(`id${first + position}`, { type: '', ...each }))),
        content: said && parts(said),
      },
      ...made.map(({ outcome }, position) => result(`id${first + position}`, outcome)),
      { role: 'assistant', content: parts(['So.']) },
    ]
  })
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe('a conversation', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 3 }), (steps) => {
        const messages = conversation(steps)
        expect(backFrom(turnsOf(messages) as Turn[])).toEqual(plain(messages))
      }),
      { numRuns: count(60, 1000) },
    )
  })

  it('keeps its beginning, byte for byte, when it grows: the cached prefix of its prompt holds', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 4 }), (steps) => {
        const before = JSON.stringify(turnsOf(conversation(steps.slice(0, -1)))).slice(0, -1)
        expect(JSON.stringify(turnsOf(conversation(steps))).startsWith(before)).toBe(true)
      }),
      { numRuns: count(40, 500) },
    )
  })

  it('of any order and with any ids is one that the vendor takes', () => {
    const id = fc.oneof(fc.string({ minLength: 1, maxLength: 90 }), fc.constantFrom('a', 'call_0', 'functions.f:0'))
    const exchange = fc
      .uniqueArray(id, { minLength: 1, maxLength: 3 })
      .map((ids) => [
        calling(...ids.map((each) => ({ id: each, type: 'function', function: { name: 'f', arguments: '' } }))),
        ...ids.toReversed().map((each) => result(each)),
      ])
    const said = fc.constantFrom('system', 'developer', 'user', 'assistant').map((role) => [{ role, content: 'Hi' }])
    const blank = fc.constantFrom('user', 'assistant').map((role) => [{ role, content: ' ' }])
    // Between a call and its result nobody speaks, and two steps of the assistant are not one.
    const pieces = fc.array(
      fc.oneof(
        exchange.map((each) => [...each, ...[user('And?')]]),
        said,
        blank,
      ),
      { maxLength: 6 },
    )
    fc.assert(
      fc.property(pieces, (all) => {
        const { body } = requestOf({ messages: [...all.flat(), user('End.')] })
        expect(checkMessages(plain(body))).toMatchObject({ ok: true })
      }),
      { numRuns: count(100, 2000) },
    )
  })
})

describe('ids of calls', () => {
  it('are accepted, never the same twice, and lead back to what was given', () => {
    const given = fc.array(fc.oneof(fc.string({ maxLength: 80 }), fc.constantFrom('a', 'b', 'hx_tool_1', 'hx_tool_2')))
    fc.assert(
      fc.property(given, (all) => {
        const ids = createToolIds()
        const sent = all.map((each) => ids.call(each))
        expect(new Set(sent).size).toBe(all.length)
        for (const each of sent) expect(each).toMatch(/^[a-zA-Z0-9_-]{1,64}$/)
        expect(sent.map(ids.given)).toEqual(all)
        expect(all.map(ids.result)).toEqual(all.map((each) => sent[all.lastIndexOf(each)]))
      }),
      { numRuns: count(100, 2000) },
    )
  })
})

describe('a stream', () => {
  const block = fc.oneof(
    fc.record({ type: fc.constant('text' as const), pieces: fc.array(fc.string({ maxLength: 6 })) }),
    fc.record({ type: fc.constant('thinking' as const), pieces: fc.array(fc.string({ maxLength: 6 })) }),
    fc.record({ type: fc.constant('tool_use' as const), pieces: input.map((each) => cut(JSON.stringify(each))) }),
  )
  const cut = (text: string): string[] => (text === '{}' ? [] : (text.match(/[\s\S]{1,4}/g) ?? []))

  const kinds = {
    text: ['text', 'text_delta', 'text'],
    thinking: ['thinking', 'thinking_delta', 'thinking'],
    tool_use: ['tool_use', 'input_json_delta', 'partial_json'],
  } as const

  it('says what its events say, ends once and counts once, whatever its blocks', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 5 }), fc.nat(40), (blocks, size) => {
        const events = blocks.map(({ type, pieces }, index) => {
          const [kind, delta, field] = kinds[type]
          const opening = kind === 'tool_use' ? { id: `toolu_${index}`, name: 'f', input: {} } : { [field]: '' }
          const deltas = pieces.map((piece) => blockDelta(index, delta, { [field]: piece })).join('')
          return blockStart(index, { type: kind, ...opening }) + deltas + blockStop(index)
        })
        const bytes = new TextEncoder().encode(start() + events.join('') + end())
        const step = size + 1
        const slices = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
          bytes.subarray(at * step, (at + 1) * step),
        )
        const { parts: read, failure } = decode(anthropicDecoder(), slices)
        const choices = read.flatMap(({ chunk }) => chunk.choices)
        const of = (type: keyof typeof kinds) => blocks.filter((each) => each.type === type)
        const calls = choices.flatMap(({ delta }) => delta.tool_calls ?? [])
        const inputs = of('tool_use').map((_, index) =>
          calls.flatMap((each) => (each.index === index ? (each.function?.arguments ?? '') : [])).join(''),
        )
        expect(failure).toBeUndefined()
        expect(textOf(read)).toBe(
          of('text')
            .flatMap(({ pieces }) => pieces)
            .join(''),
        )
        expect(choices.map(({ delta }) => delta.reasoning_content ?? '').join('')).toBe(
          of('thinking')
            .flatMap(({ pieces }) => pieces)
            .join(''),
        )
        expect(inputs).toEqual(of('tool_use').map(({ pieces }) => pieces.join('') || '{}'))
        expect(choices.filter(({ finish_reason }) => finish_reason)).toHaveLength(1)
        expect(read.filter(({ chunk }) => chunk.usage)).toHaveLength(1)
      }),
      { numRuns: count(100, 2000) },
    )
  })
})
