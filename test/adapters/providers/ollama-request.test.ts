import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ollamaChatRequest } from '../../../src/adapters/providers/ollama-request.ts'
import type { ChatBody, ChatCall } from '../../../src/core/models.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import { callOf } from './support.ts'

const requestOf = (body: Partial<ChatBody>, extra: Partial<ChatCall> = {}, contextWindow?: number) => {
  const { body: sent, ignored } = ollamaChatRequest(callOf(body, extra), contextWindow)
  const { options, messages } = sent as { options: Record<string, unknown>; messages: Record<string, unknown>[] }
  return { sent, options, messages, ignored }
}

function refusalOf(body: Partial<ChatBody>): UpstreamError {
  try {
    requestOf(body)
  } catch (failure) {
    if (failure instanceof UpstreamError) return failure
  }
  throw new Error('was not refused')
}

describe('a chat body for a node', () => {
  it('is complete without any wish of the caller', () => {
    expect(requestOf({}).sent).toEqual({
      model: 'upstream-model',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: false,
      keep_alive: '10m',
      truncate: false,
      shift: false,
      options: { num_ctx: 8192 },
    })
  })

  it('has sampling, limits and stops among its options', () => {
    const wishes = { temperature: 0, top_p: 0.5, seed: 3, frequency_penalty: 1, presence_penalty: -1, top_k: 4 }
    const { options, ignored } = requestOf({ ...wishes, stop: 'END', max_tokens: 10, max_completion_tokens: 20 })
    expect(options).toEqual({ ...wishes, stop: ['END'], num_predict: 20, num_ctx: 8192 })
    expect(requestOf({ stop: ['a', 'b'], temperature: null }).options).toEqual({ stop: ['a', 'b'], num_ctx: 8192 })
    expect(ignored).toEqual([])
  })

  it('has no place for another gateway’s blocks, and reports them', () => {
    expect(requestOf({ provider: { order: ['a'] }, ensemble_config: { size: 3 } }).ignored).toEqual([
      'provider',
      'ensemble_config',
    ])
    expect(requestOf({ provider: 'ollama', helix: {}, force_provider: 'ollama' }).ignored).toEqual([])
  })

  it('never asks for more than the call may have', () => {
    expect(requestOf({ max_tokens: 100 }, { maxOutputTokens: 30 }).options.num_predict).toBe(30)
    expect(requestOf({ max_tokens: 20 }, { maxOutputTokens: 30 }).options.num_predict).toBe(20)
    expect(requestOf({}, { maxOutputTokens: 30 }).options.num_predict).toBe(30)
  })

  it.each([
    ['none', false],
    ['minimal', 'low'],
    ['low', 'low'],
    ['medium', 'medium'],
    ['high', 'high'],
    ['xhigh', 'max'],
    ['max', 'max'],
  ])('thinks with effort %s as %j', (effort, think) => {
    expect(requestOf({ reasoning_effort: effort }).sent.think).toBe(think)
  })

  it('leaves thinking to the node without an effort, and reports an unknown one', () => {
    expect(requestOf({}).sent).not.toHaveProperty('think')
    expect(requestOf({ reasoning_effort: 'toString' })).toMatchObject({ ignored: ['reasoning_effort'] })
  })

  it('turns response formats into a format', () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    expect(requestOf({ response_format: { type: 'json_object' } }).sent.format).toBe('json')
    const strict = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } }
    expect(requestOf({ response_format: strict })).toMatchObject({ sent: { format: schema }, ignored: [] })
    expect(requestOf({ response_format: { type: 'text' } }).sent).not.toHaveProperty('format')
    expect(requestOf({ response_format: { type: 'grammar' } }).ignored).toEqual(['response_format'])
  })

  it('carries function tools, and none when the caller chose none', () => {
    const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }
    const custom = { type: 'custom', custom: { name: 'c' } }
    const { sent, ignored } = requestOf({ tools: [tool, custom], tool_choice: 'required' })
    expect(sent.tools).toEqual([{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }])
    expect([...ignored].sort()).toEqual(['tool_choice', 'tools[1]', 'tools[].function.strict'])
    expect(requestOf({ tools: [tool], tool_choice: 'none' }).sent).not.toHaveProperty('tools')
    expect(requestOf({ tools: [tool], tool_choice: 'auto' }).ignored).toEqual(['tools[].function.strict'])
  })

  it('reports what has no place in this wire, unless it asked for nothing', () => {
    const lost = { n: 2, logit_bias: { 1: 2 }, parallel_tool_calls: false, user: 'u', verbosity: 'low', future: 1 }
    expect([...requestOf(lost).ignored].sort()).toEqual(Object.keys(lost).sort())
    const neutral = {
      n: 1,
      logit_bias: {},
      parallel_tool_calls: true,
      store: false,
      metadata: {},
      user: null,
      helix: { a: 1 },
    }
    expect(requestOf(neutral).ignored).toEqual([])
  })

  it('asks for log probabilities', () => {
    expect(requestOf({ logprobs: true, top_logprobs: 3 }).sent).toMatchObject({ logprobs: true, top_logprobs: 3 })
    expect(requestOf({ logprobs: false }).sent).not.toHaveProperty('logprobs')
  })
})

describe('the context that is asked for', () => {
  const withText = (characters: number, contextWindow?: number) =>
    requestOf({ messages: [{ role: 'user', content: 'x'.repeat(characters) }] }, {}, contextWindow).options.num_ctx

  it('is a power of two that holds prompt and answer, from 8192 up', () => {
    expect(withText(10)).toBe(8192)
    expect(withText(3 * 6200)).toBe(16_384)
    expect(requestOf({ max_tokens: 20_000 }).options.num_ctx).toBe(32_768)
  })

  it('stays within the model’s window, and within reason when that is unknown', () => {
    expect(withText(300_000, 40_960)).toBe(40_960)
    expect(withText(10, 2048)).toBe(2048)
    expect(withText(3_000_000)).toBe(131_072)
  })

  it('counts images, tools and scripts of many tokens a character', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }
    expect(requestOf({ messages: [{ role: 'user', content: Array(7).fill(image) }] }).options.num_ctx).toBe(16_384)
    expect(requestOf({ messages: [{ role: 'user', content: '語'.repeat(7000) }] }).options.num_ctx).toBe(16_384)
  })
})

describe('a conversation for a node', () => {
  it('keeps roles, joins text parts and takes images out of their URLs', () => {
    const content = [
      { type: 'text', text: 'What is' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0K', detail: 'low' } },
      { type: 'text', text: 'this?' },
      { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
      { type: 'file', file: { file_id: 'f' } },
    ]
    const { messages, ignored } = requestOf({
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content, name: 'ann' },
      ],
    })
    expect(messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is\nthis?', images: ['iVBORw0K', 'UklGRg=='] },
    ])
    expect(ignored).toEqual(['messages[1].content[4]', 'messages[].name'])
  })

  it('names the tool of every result and gives arguments as objects', () => {
    const call = (id: string, name: string, text: string) => ({
      id,
      type: 'function',
      function: { name, arguments: text },
    })
    const { messages } = requestOf({
      messages: [
        {
          role: 'assistant',
          content: null,
          reasoning_content: 'hm',
          tool_calls: [call('c1', 'time', ''), call('c2', 'add', '{"a":1}')],
        },
        { role: 'tool', tool_call_id: 'c2', content: '2' },
        { role: 'tool', tool_call_id: 'c1', content: [{ type: 'text', text: 'noon' }] },
        { role: 'tool', tool_call_id: 'lost', content: '?' },
        { role: 'function', name: 'old', content: 'x' },
      ],
    })
    expect(messages).toEqual([
      {
        role: 'assistant',
        content: '',
        thinking: 'hm',
        tool_calls: [
          { id: 'c1', function: { index: 0, name: 'time', arguments: {} } },
          { id: 'c2', function: { index: 1, name: 'add', arguments: { a: 1 } } },
        ],
      },
      { role: 'tool', content: '2', tool_name: 'add', tool_call_id: 'c2' },
      { role: 'tool', content: 'noon', tool_name: 'time', tool_call_id: 'c1' },
      { role: 'tool', content: '?', tool_call_id: 'lost' },
      { role: 'tool', content: 'x', tool_name: 'old' },
    ])
  })

  it('is refused with the field’s name for an image by URL and for broken arguments', () => {
    const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
    expect(refusalOf({ messages: [{ role: 'user', content: [image] }] })).toMatchObject({
      fault: 'status',
      status: 400,
      vendor: { param: 'messages[0].content[0].image_url.url', type: 'invalid_request_error' },
    })
    for (const text of ['{"a":', '[1]', '"x"']) {
      const call = { id: 'c', type: 'function', function: { name: 'f', arguments: text } }
      expect(refusalOf({ messages: [{ role: 'assistant', tool_calls: [call] }] })).toMatchObject({
        status: 400,
        vendor: { param: 'messages[0].tool_calls[0].function.arguments' },
      })
    }
  })

  it('carries any JSON object as arguments unchanged', () => {
    const args = fc.dictionary(fc.string(), fc.jsonValue())
    fc.assert(
      fc.property(args, (given) => {
        const text = JSON.stringify(given)
        const call = { id: 'c', type: 'function', function: { name: 'f', arguments: text } }
        const { messages } = requestOf({ messages: [{ role: 'assistant', tool_calls: [call] }] })
        expect(messages[0]).toHaveProperty('tool_calls.0.function.arguments', JSON.parse(text))
      }),
    )
  })
})
