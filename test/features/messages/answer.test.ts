import { describe, expect, it } from 'vitest'
import type { ChatCompletion } from '../../../src/core/models.ts'
import { messageOf } from '../../../src/features/messages/answer.ts'
import { endUsage, messageUsage } from '../../../src/features/messages/usage.ts'

const usage = { prompt: 100, cached: 30, cacheWrite: 20, cacheWriteHour: 5, completion: 40, reasoning: 12 }

function answer(message: Record<string, unknown>, choice: Record<string, unknown> = {}) {
  const completion: ChatCompletion = {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4o',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop', ...choice }],
  }
  return messageOf(completion, { id: 'msg_1', usage })
}

const call = (id: string, json: string, extra: object = {}) => ({
  id,
  type: 'function',
  function: { name: 'look', arguments: json },
  ...extra,
})
const caller = { type: 'direct' }
const text = (words: string) => ({ type: 'text', text: words, citations: null })

describe('an answer as a message', () => {
  it('has its text, its model and its counts', () => {
    expect(answer({ content: 'Hello.' })).toEqual({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'gpt-4o',
      content: [text('Hello.')],
      stop_reason: 'end_turn',
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
      usage: {
        input_tokens: 50,
        cache_creation_input_tokens: 20,
        cache_read_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 15, ephemeral_1h_input_tokens: 5 },
        output_tokens: 40,
        output_tokens_details: { thinking_tokens: 12 },
        server_tool_use: null,
        service_tier: 'standard',
        inference_geo: null,
        speed: null,
      },
    })
  })

  it('shows thoughts first, then text, then the use of tools', () => {
    const whole = [
      { type: 'thinking', thinking: 'Hm.', signature: 'sig' },
      { type: 'redacted_thinking', data: 'secret' },
    ]
    const calls = [call('call_1', '{"at":"here"}'), call('a:b', '')]
    const message = answer({ content: 'Wait.', thinking_blocks: whole, reasoning_content: 'Hm.', tool_calls: calls })
    expect(message.content).toEqual([
      ...whole,
      text('Wait.'),
      { type: 'tool_use', id: 'call_1', name: 'look', input: { at: 'here' }, caller },
      { type: 'tool_use', id: 'hxid_YTpi', name: 'look', input: {}, caller },
    ])
    expect(message.stop_reason).toBe('tool_use')
  })

  it('gives the bare text of thoughts no signature', () => {
    expect(answer({ content: 'So.', reasoning_content: 'Hm.' }).content).toEqual([
      { type: 'thinking', thinking: 'Hm.', signature: '' },
      text('So.'),
    ])
  })

  it.each(['{"half":', '[1]', '"text"', 'null'])('keeps input that is no object readable: %s', (json) => {
    expect(answer({ tool_calls: [call('c', json)] }).content).toEqual([
      { type: 'tool_use', id: 'c', name: 'look', input: { INVALID_JSON: json }, caller },
    ])
  })

  it('carries what another wire wants to have back', () => {
    const extra = { extra_content: { google: { thought_signature: 'sig' } } }
    expect(answer({ content: 'Hi', ...extra, tool_calls: [call('c', '{}', extra)] }).content).toEqual([
      { ...text('Hi'), ...extra },
      { type: 'tool_use', id: 'c', name: 'look', input: {}, caller, ...extra },
    ])
  })

  it.each<[string | null, Record<string, unknown>, string]>([
    ['stop', {}, 'end_turn'],
    [null, {}, 'end_turn'],
    ['length', {}, 'max_tokens'],
    ['tool_calls', {}, 'tool_use'],
    ['function_call', {}, 'tool_use'],
    ['content_filter', {}, 'refusal'],
    ['stop', { native_finish_reason: 'pause_turn' }, 'pause_turn'],
    ['stop', { native_finish_reason: 'STOP' }, 'end_turn'],
  ])('that ended with %s (%j) ends with %s', (reason, extra, expected) => {
    expect(answer({ content: 'Hi' }, { finish_reason: reason, ...extra }).stop_reason).toBe(expected)
  })

  it('is refused where the model says so', () => {
    const message = answer({ content: null, refusal: 'I will not.' })
    expect([message.content, message.stop_reason]).toEqual([[text('I will not.')], 'refusal'])
  })

  it('says what its vendor says about a refusal', () => {
    const details = { type: 'refusal', category: 'cyber', explanation: 'No.' }
    const message = answer({ content: 'No.' }, { finish_reason: 'content_filter', stop_details: details })
    expect(message).toMatchObject({ stop_reason: 'refusal', stop_details: details })
  })

  it('is empty where nothing was said', () => {
    expect(answer({ content: null }).content).toEqual([])
  })
})

describe('the end of a stream', () => {
  it('tells the counts of the whole message', () => {
    const { cache_creation, service_tier, inference_geo, speed, ...counts } = messageUsage(usage)
    expect(endUsage(usage)).toEqual(counts)
  })
})
