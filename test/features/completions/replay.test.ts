import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatCompletion, StreamPart } from '../../../src/core/models.ts'
import { createAssembler } from '../../../src/features/completions/assemble.ts'
import { replayed, replayParts } from '../../../src/features/completions/replay.ts'
import { anyCharacter } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'
import { part } from '../../support/stream-parts.ts'

const completionOf = (message: object, more: object = {}): ChatCompletion => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 7,
  model: 'gpt-4o-2024',
  choices: [{ index: 0, message: { role: 'assistant', content: null, ...message }, finish_reason: 'stop', ...more }],
  usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 },
})

const assembled = (parts: readonly StreamPart[], maxChars = 1_000_000) => {
  const assembler = createAssembler(maxChars)
  assembler.take(parts)
  return assembler.completion()
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 700 }),
  fc.string({ unit: anyCharacter, maxLength: 300 }),
)
const said = text.filter((content) => content !== '')
const tokens = fc.array(fc.record({ token: fc.string(), logprob: fc.integer({ min: -20, max: 0 }) }), { minLength: 1 })
const thought = fc.record({ type: fc.constant('thinking'), thinking: said, signature: fc.string() })

const choice = fc
  .record({
    content: said,
    refusal: fc.option(said, { nil: undefined }),
    thoughts: fc.array(thought, { maxLength: 3 }),
    logprobs: fc.option(tokens, { nil: undefined }),
    finish_reason: fc.constantFrom('stop', 'length'),
    native_finish_reason: fc.option(fc.constant('end_turn'), { nil: undefined }),
  })
  .map(({ content, refusal, thoughts, logprobs, native_finish_reason, finish_reason }) => ({
    message: {
      role: 'assistant',
      content,
      ...(refusal && { refusal }),
      ...(thoughts.length > 0 && {
        reasoning_content: thoughts.map(({ thinking }) => thinking).join(''),
        thinking_blocks: thoughts,
      }),
    },
    finish_reason,
    ...(logprobs && { logprobs: { content: logprobs, refusal: null } }),
    ...(native_finish_reason && { native_finish_reason }),
  }))

const completion = fc.array(choice, { minLength: 1, maxLength: 3 }).map(
  (choices): ChatCompletion => ({
    ...completionOf({}),
    system_fingerprint: 'fp_1',
    choices: choices.map((one, index) => ({ index, ...one })),
  }),
)

describe('an answer that is replayed', () => {
  it('is the same once its stream is put together again', () => {
    fc.assert(
      fc.property(completion, (whole) => {
        expect(assembled(replayParts(whole))).toEqual(whole)
      }),
      { numRuns: count(100, 2000) },
    )
  })

  it('breaks no character in two', () => {
    for (const part of replayParts(completionOf({ content: '🦊'.repeat(1000) }))) {
      expect(part.chunk.choices[0]?.delta.content?.isWellFormed() ?? true).toBe(true)
      expect(JSON.parse(part.json)).toEqual(part.chunk)
    }
  })

  it('calls its tools, each at its place', () => {
    const calls = ['a', 'b'].map((id) => ({ id, type: 'function', function: { name: id, arguments: '{}' } }))
    const parts = replayParts(completionOf({ tool_calls: calls }, { finish_reason: 'tool_calls' }))
    expect(parts.flatMap(({ chunk }) => chunk.choices[0]?.delta.tool_calls ?? [])).toEqual(
      calls.map((call, index) => ({ ...call, index })),
    )
    expect(parts.flatMap(({ chunk }) => chunk.choices[0]?.finish_reason ?? [])).toEqual(['tool_calls'])
  })

  it('is read batch by batch, and no more once it is cancelled', async () => {
    const whole = completionOf({ content: 'x'.repeat(20_000) })
    const stream = replayed(whole)
    const read: StreamPart[] = []
    for (let batch = await stream.read(); batch; batch = await stream.read()) read.push(...batch)
    expect(assembled(read)).toEqual(whole)
    const cut = replayed(whole)
    expect(await cut.read()).toHaveLength(16)
    cut.cancel()
    expect(await cut.read()).toBeUndefined()
  })
})

describe('a stream that is put together', () => {
  it('is no answer before every choice has ended', () => {
    expect(assembled([part({ content: 'Hel' })])).toBeUndefined()
    expect(assembled([])).toBeUndefined()
    expect(assembled([part({ content: 'Hel' }), part({ content: 'lo' }, 'stop')])?.choices).toEqual([
      { index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' },
    ])
  })

  it.each([
    ['calls a tool', { tool_calls: [{ index: 0, id: 'call_1' }] }],
    ['speaks', { audio: { id: 'audio_1' } }],
    ['says what nobody knows', { mood: 'good' }],
  ])('is given up when it %s', (_what, delta) => {
    expect(assembled([part({ content: 'Hello' }), part(delta), part({}, 'stop')])).toBeUndefined()
  })

  it('is given up when its own wire tells where a text comes from, and not when a text speaks of that', () => {
    const told = (data: object): StreamPart[] => [
      { ...part({ content: 'Hello' }, 'stop'), native: [{ event: 'content_block_delta', data: JSON.stringify(data) }] },
    ]
    expect(assembled(told({ delta: { type: 'citations_delta', citation: {} } }))).toBeUndefined()
    expect(assembled(told({ delta: { type: 'text_delta', text: '"citations_delta"' } }))).toBeDefined()
  })

  it('is given up when it becomes too long', () => {
    const parts = [part({ content: 'x'.repeat(60) }), part({ content: 'x'.repeat(40) }, 'stop')]
    expect(assembled(parts, 100)).toBeDefined()
    expect(assembled(parts, 99)).toBeUndefined()
    const logprobs = { content: [{ token: 'x'.repeat(100), logprob: 0 }], refusal: null }
    expect(assembled([part({ content: 'x' }, 'stop', { choice: { logprobs } })], 99)).toBeUndefined()
  })
})
