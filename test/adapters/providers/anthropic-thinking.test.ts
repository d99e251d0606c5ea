import { describe, expect, it } from 'vitest'
import { claudeTraits } from '../../../src/adapters/providers/anthropic-models.ts'
import type { ChatBody } from '../../../src/core/models.ts'
import { requestOf, turnsOf, user } from './anthropic-support.ts'

const thought = { type: 'thinking', thinking: 'Hm.', signature: 'sig==' }
const hidden = { type: 'thinking', thinking: '', signature: 'sig2==' }
const redacted = { type: 'redacted_thinking', data: 'Er==' }
const toolCall = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }
const calling = (extra: object = {}) => ({
  role: 'assistant',
  content: 'Let me see.',
  tool_calls: [toolCall],
  ...extra,
})
const result = { role: 'tool', tool_call_id: 'a', content: 'ok' }

/** What thinking a body asks of a model, and what of it is lost. */
function thinking(model: string, body: Partial<ChatBody>) {
  const { body: sent, ignored } = requestOf({ max_tokens: 10_000, ...body }, { model })
  const config = JSON.parse(JSON.stringify(sent.output_config ?? {}))
  return [sent.thinking, config.effort, ignored]
}

const budget = (tokens: number) => ({ type: 'enabled', budget_tokens: tokens })
const adaptive = { type: 'adaptive', display: 'summarized' }
const lost = ['reasoning_effort']

describe('what a model takes', () => {
  it.each([
    ['claude-3-opus-20240229', 'none', 'omit', 0, 'both', false, true],
    ['claude-3-5-sonnet-latest', 'none', 'omit', 0, 'both', false, true],
    ['claude-3-7-sonnet-latest', 'budget', 'omit', 0, 'both', false, true],
    ['claude-sonnet-4-20250514', 'budget', 'omit', 0, 'both', false, true],
    ['claude-opus-4-1-20250805', 'budget', 'omit', 0, 'one', true, true],
    ['claude-haiku-4-5-20251001', 'budget', 'omit', 0, 'one', true, true],
    ['claude-opus-4-5', 'budget', 'omit', 3, 'one', true, true],
    ['claude-opus-4-6', 'adaptive', 'omit', 4, 'one', true, true],
    ['claude-opus-4.7', 'adaptive', 'omit', 5, 'none', true, true],
    ['claude-sonnet-5', 'adaptive', 'disabled', 5, 'none', true, true],
    ['claude-fable-5', 'adaptive', 'never', 5, 'none', true, true],
    ['claude-fable-5-1', 'adaptive', 'never', 5, 'none', true, false],
    ['claude-opus-5-5', 'adaptive', 'never', 5, 'none', true, false],
    ['claude-sonnet-5-5', 'adaptive', 'between_tools', 5, 'none', true, false],
    ['claude-haiku-5-5', 'adaptive', 'disabled', 5, 'none', true, true],
    ['claude-opus-latest', 'adaptive', 'never', 5, 'none', true, false],
    ['something-else', 'adaptive', 'never', 5, 'none', true, false],
  ])('is told from its name: %s', (model, mode, off, efforts, sampling, schemas, forcesTools) => {
    const traits = claudeTraits(model)
    expect(traits).toMatchObject({ thinking: mode, off, sampling, schemas, forcesTools })
    expect(traits.efforts).toHaveLength(efforts)
  })
})

describe('an effort', () => {
  it.each([
    ['claude-3-opus-20240229', 'high', undefined, undefined, lost],
    ['claude-haiku-4-5', 'minimal', budget(1024), undefined, []],
    ['claude-haiku-4-5', 'low', budget(2000), undefined, []],
    ['claude-haiku-4-5', 'medium', budget(5000), undefined, []],
    ['claude-haiku-4-5', 'max', budget(9000), undefined, []],
    ['claude-haiku-4-5', 'none', undefined, undefined, []],
    ['claude-opus-4-5', 'medium', budget(5000), 'medium', []],
    ['claude-opus-4-5', 'max', budget(9000), 'high', lost],
    ['claude-opus-4-6', 'max', adaptive, 'max', []],
    ['claude-opus-4-6', 'xhigh', adaptive, 'high', lost],
    ['claude-opus-4-6', 'minimal', adaptive, 'low', []],
    ['claude-opus-4-7', 'xhigh', adaptive, 'xhigh', []],
    ['claude-opus-4-7', 'none', undefined, undefined, []],
    ['claude-opus-5', 'none', { type: 'disabled' }, undefined, []],
    ['claude-sonnet-5-5', 'none', { type: 'between_tools' }, undefined, []],
    ['claude-opus-5-5', 'none', undefined, 'low', lost],
    ['claude-opus-5-5', 'some', undefined, undefined, lost],
    ['claude-opus-5-5', 3, undefined, undefined, lost],
    ['claude-opus-5-5', undefined, undefined, undefined, []],
  ])('%s of %s', (model, effort, config, level, ignored) => {
    expect(thinking(model, { reasoning_effort: effort })).toEqual([config, level, ignored])
  })

  it('leaves room for the answer, and does not grow without bounds', () => {
    const high = (maxTokens: number) =>
      thinking('claude-haiku-4-5', { reasoning_effort: 'high', max_tokens: maxTokens })
    expect(high(1024)).toEqual([undefined, undefined, lost])
    expect(high(1025)).toEqual([budget(1024), undefined, []])
    expect(high(64_000)).toEqual([budget(32_000), undefined, []])
  })

  it('gives way to a call of a tool that is demanded', () => {
    const body = {
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: 'required',
      reasoning_effort: 'high',
    }
    expect(thinking('claude-haiku-4-5', body)).toEqual([undefined, undefined, lost])
    expect(thinking('claude-opus-4-6', body)).toEqual([undefined, 'high', []])
  })

  it('leaves a thinking model its own temperature', () => {
    const body = { reasoning_effort: 'high', temperature: 0.2, top_p: 0.5, top_k: 4 }
    const { body: sent, ignored } = requestOf({ ...body, max_tokens: 4000 }, { model: 'claude-haiku-4-5' })
    expect(sent).not.toHaveProperty('temperature')
    expect(ignored).toEqual(['temperature', 'top_p', 'top_k'])
    const calm = requestOf({ ...body, temperature: 1, top_p: 0.97, top_k: undefined, max_tokens: 4000 })
    expect([calm.body.temperature, calm.body.top_p, calm.ignored]).toEqual([undefined, 0.97, []])
  })

  it('may be told in Anthropic’s own words', () => {
    expect(thinking('claude-haiku-4-5', { thinking: budget(2048) })).toEqual([budget(2048), undefined, []])
    expect(thinking('claude-opus-4-6', { thinking: { type: 'disabled' }, reasoning_effort: 'low' })).toEqual([
      { type: 'disabled' },
      'low',
      [],
    ])
  })
})

describe('thoughts in a conversation', () => {
  it('come back unchanged, before what was said and called, with or without words', () => {
    const messages = [
      user('A'),
      calling({ thinking_blocks: [thought, redacted, hidden], reasoning_content: 'Hm.' }),
      result,
    ]
    expect(turnsOf(messages)).toMatchObject([
      {},
      { content: [thought, redacted, hidden, { type: 'text', text: 'Let me see.' }, { type: 'tool_use', id: 'a' }] },
      {},
    ])
  })

  it('are left out where nothing proves them', () => {
    const forged = [
      { type: 'thinking', thinking: 'x' },
      { ...thought, signature: '' },
      { type: 'redacted_thinking' },
      7,
    ]
    expect(turnsOf([user('A'), calling({ thinking_blocks: forged }), result])).toMatchObject([
      {},
      { content: [{ type: 'text' }, { type: 'tool_use' }] },
      {},
    ])
  })

  it('carry no marks for the cache: the vendor refuses them there', () => {
    const marked = { role: 'assistant', content: '', thinking_blocks: [thought], cache_control: { type: 'ephemeral' } }
    expect(turnsOf([user('A'), marked, user('B')])).toMatchObject([{}, { content: [thought] }, {}])
  })

  it('are wanted of a model with a budget in the middle of its calls: without them it does not think on', () => {
    const ask = (model: string, extra: object) =>
      thinking(model, { reasoning_effort: 'low', messages: [user('A'), calling(extra), result] })
    expect(ask('claude-haiku-4-5', { thinking_blocks: [thought] })).toEqual([budget(2000), undefined, []])
    expect(ask('claude-haiku-4-5', {})).toEqual([undefined, undefined, lost])
    expect(ask('claude-opus-4-5', {})).toEqual([undefined, 'low', []])
    expect(ask('claude-opus-4-6', {})).toEqual([adaptive, 'low', []])
  })

  it('are not wanted once the user has spoken again, and not for an answer that was begun', () => {
    const done = [user('A'), calling(), result, { role: 'assistant', content: 'B' }]
    const ask = (messages: ChatBody['messages']) => thinking('claude-haiku-4-5', { reasoning_effort: 'low', messages })
    expect(ask([...done, user('C')])).toEqual([budget(2000), undefined, []])
    expect(ask(done)).toEqual([undefined, undefined, lost])
  })
})
