import { describe, expect, it } from 'vitest'
import { call, calling, refusedField, requestOf, result, user } from './anthropic-support.ts'

describe('tools', () => {
  const parameters = { type: 'object', properties: { x: { type: 'number' } } }
  const tool = (name: string, extra: object = {}) => ({ type: 'function', function: { name, parameters, ...extra } })
  const tools = [tool('b', { description: 'does b', strict: true }), tool('a')]
  const messages = [user('A')]

  it('keep their order, schemas and strictness', () => {
    const { body, ignored } = requestOf({ messages, tools })
    expect(body.tools).toEqual([
      { name: 'b', description: 'does b', input_schema: parameters, strict: true },
      { name: 'a', input_schema: parameters },
    ])
    expect(body.tool_choice).toEqual({ type: 'auto' })
    expect(ignored).toEqual([])
    expect(requestOf({ messages, tools: [{ type: 'function', function: { name: 'a' } }] }).body.tools).toEqual([
      { name: 'a', input_schema: { type: 'object', properties: {} } },
    ])
  })

  it('are not strict for a model that cannot be', () => {
    const { body, ignored } = requestOf({ messages, tools }, { model: 'claude-3-5-haiku-latest' })
    expect(body.tools).not.toMatchObject([{ strict: true }, {}])
    expect(ignored).toEqual(['tools[].function.strict'])
  })

  it.each([
    ['auto', { type: 'auto' }],
    ['required', { type: 'any' }],
    ['none', { type: 'none' }],
    [null, { type: 'auto' }],
    [
      { type: 'function', function: { name: 'a' } },
      { type: 'tool', name: 'a' },
    ],
    [
      { type: 'custom', custom: { name: 'b' } },
      { type: 'tool', name: 'b' },
    ],
  ])('are chosen from: %o', (choice, sent) => {
    expect(requestOf({ messages, tools, tool_choice: choice }).body.tool_choice).toEqual(sent)
  })

  it('are called one at a time where that is asked', () => {
    const single = (choice: string) =>
      requestOf({ messages, tools, tool_choice: choice, parallel_tool_calls: false }).body
    expect(single('auto').tool_choice).toEqual({ type: 'auto', disable_parallel_tool_use: true })
    expect(single('required').tool_choice).toEqual({ type: 'any', disable_parallel_tool_use: true })
    expect(single('none').tool_choice).toEqual({ type: 'none' })
  })

  it('that are not allowed are not sent', () => {
    const allowed = (mode: string) => ({
      type: 'allowed_tools',
      allowed_tools: { mode, tools: [{ type: 'function', function: { name: 'a' } }] },
    })
    expect(requestOf({ messages, tools, tool_choice: allowed('required') }).body).toMatchObject({
      tools: [{ name: 'a' }],
      tool_choice: { type: 'any' },
    })
    expect(requestOf({ messages, tools, tool_choice: allowed('auto') }).body.tool_choice).toEqual({ type: 'auto' })
  })

  it('of free text take an object with that text', () => {
    const custom = { type: 'custom', custom: { name: 'run', description: 'runs', format: { type: 'grammar' } } }
    const said = { id: 'a', type: 'custom', custom: { name: 'run', input: 'ls -l' } }
    const { body, ignored, expected } = requestOf({
      messages: [user('A'), calling(said), result('a')],
      tools: [custom],
    })
    expect(body.tools).toMatchObject([{ name: 'run', description: 'runs', input_schema: { required: ['input'] } }])
    expect(body.messages).toMatchObject([{}, { content: [{ name: 'run', input: { input: 'ls -l' } }] }, {}])
    expect(ignored).toEqual(['tools[0].custom.format'])
    expect([...expected.customTools]).toEqual(['run'])
  })

  it('that a conversation used are declared, even where none are offered any more', () => {
    const used = [user('A'), calling(call('a', '{}', 'g'), call('b', '{}', 'f')), result('a'), result('b')]
    expect(requestOf({ messages: used }).body).toMatchObject({
      tools: [{ name: 'g', input_schema: { type: 'object' } }, { name: 'f' }],
      tool_choice: { type: 'none' },
    })
    expect(requestOf({ messages }).body).not.toHaveProperty('tool_choice')
  })

  it('that nobody knows are refused', () => {
    expect(refusedField({ messages, tools: [...tools, { type: 'web_search' }] })).toBe('tools[2]')
  })

  it('cannot be demanded of models that refuse that', () => {
    const { body, ignored } = requestOf({ messages, tools, tool_choice: 'required' }, { model: 'claude-opus-5-5' })
    expect(body.tool_choice).toEqual({ type: 'auto' })
    expect(ignored).toEqual(['tool_choice'])
  })
})

describe('the other fields', () => {
  const messages = [user('A')]

  it('always have a limit: the caller’s, the call’s bound, the model’s own, or a small one', () => {
    const limit = (body: object, maxOutputTokens?: number) =>
      requestOf({ messages, ...body }, { maxOutputTokens }).body.max_tokens
    expect(limit({ max_tokens: 10 })).toBe(10)
    expect(limit({ max_tokens: 10, max_completion_tokens: 20 })).toBe(20)
    expect(limit({ max_tokens: 10 }, 5)).toBe(5)
    expect(limit({}, 5)).toBe(5)
    expect(limit({})).toBe(4096)
  })

  it('are renamed where the vendor has another name', () => {
    const { body, ignored } = requestOf({
      messages,
      stop: ['a', 'b'],
      user: 'u1',
      stream: true,
      temperature: 0.5,
      top_k: 3,
    })
    expect(body).toMatchObject({
      stop_sequences: ['a', 'b'],
      metadata: { user_id: 'u1' },
      stream: true,
      temperature: 0.5,
    })
    expect(body).toMatchObject({ top_k: 3, model: 'claude-opus-4-5' })
    expect(requestOf({ messages, stop: 'x' }).body.stop_sequences).toEqual(['x'])
    expect(ignored).toEqual([])
  })

  it('are told where they are lost', () => {
    const lost = { n: 2, logprobs: true, logit_bias: { a: 1 }, presence_penalty: 1, frequency_penalty: 1, seed: 1 }
    const { body, ignored } = requestOf({ messages, ...lost, metadata: { a: 'b' }, user: 'u'.repeat(300) })
    expect(ignored).toEqual([...Object.keys(lost), 'metadata', 'user'])
    for (const field of ignored) expect(body).not.toHaveProperty(field)
    const neutral = { n: 1, logprobs: false, seed: null, store: false, parallel_tool_calls: true }
    expect(requestOf({ messages, ...neutral, provider: 'anthropic', helix: {}, stream_options: {} }).ignored).toEqual(
      [],
    )
  })

  it('lose stop sequences of nothing but space', () => {
    const { body, ignored } = requestOf({ messages, stop: ['\n', 'END'] })
    expect([body.stop_sequences, ignored]).toEqual([['END'], ['stop']])
    expect(requestOf({ messages, stop: ' ' }).body).not.toHaveProperty('stop_sequences')
  })

  it.each([
    ['auto', 'auto', []],
    ['default', 'standard_only', []],
    ['standard_only', 'standard_only', []],
    [null, undefined, []],
    ['priority', undefined, ['service_tier']],
    ['constructor', undefined, ['service_tier']],
  ])('name a tier only where it is charged as listed: %s', (tier, sent, lost) => {
    const { body, ignored } = requestOf({ messages, service_tier: tier })
    expect([body.service_tier, ignored]).toEqual([sent, lost])
  })

  it('ask for JSON by a schema, from models that can', () => {
    const schema = { type: 'object', properties: {}, additionalProperties: false }
    const format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } }
    const { body, ignored } = requestOf({ messages, response_format: format })
    expect(body.output_config).toEqual({ format: { type: 'json_schema', schema } })
    expect(ignored).toEqual([])
    const old = requestOf({ messages, response_format: format }, { model: 'claude-sonnet-4-20250514' })
    expect([old.body.output_config, old.ignored]).toEqual([undefined, ['response_format']])
    expect(requestOf({ messages, response_format: { type: 'json_object' } }).ignored).toEqual(['response_format'])
    expect(requestOf({ messages, response_format: { type: 'text' } }).ignored).toEqual([])
  })

  it.each([
    ['claude-3-5-sonnet-latest', { temperature: 0.5, top_p: 0.9 }, { temperature: 0.5, top_p: 0.9 }, []],
    ['claude-3-5-sonnet-latest', { temperature: 1.7 }, { temperature: 1 }, ['temperature']],
    ['claude-sonnet-4-5', { temperature: 0.5, top_p: 0.9 }, { temperature: 0.5 }, ['top_p']],
    ['claude-sonnet-4-5', { temperature: 0.5, top_p: 1 }, { temperature: 0.5 }, []],
    ['claude-sonnet-4-5', { top_p: 0.9 }, { top_p: 0.9 }, []],
    ['claude-opus-4-7', { temperature: 0.5, top_p: 0.9, top_k: 5 }, {}, ['temperature', 'top_p', 'top_k']],
    ['claude-opus-4-7', { temperature: 1, top_p: 1 }, {}, []],
  ])('%s takes of %o what it can', (model, given, sent, lost) => {
    const { body, ignored } = requestOf({ messages, ...given }, { model })
    const { temperature, top_p, top_k } = body
    expect(JSON.parse(JSON.stringify({ temperature, top_p, top_k }))).toEqual(sent)
    expect(ignored).toEqual(lost)
  })
})
