import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Item } from '../../../src/features/responses/items-schema.ts'
import { askedOfResponse } from '../../../src/features/responses/request.ts'
import { CreateResponse } from '../../../src/features/responses/schema.ts'
import { chatMessages } from '../../../src/features/responses/turns.ts'

/** A body as the route takes it, translated. Throws when the schema refuses it. */
function ask(fields: Record<string, unknown> = {}) {
  const request = CreateResponse.parse({ model: 'm', input: [], previous_response_id: 'resp_x', ...fields })
  const own = typeof request.input === 'string' ? [] : (request.input ?? [])
  return askedOfResponse(request, { before: [], own })
}
const bodyOf = (fields: Record<string, unknown>) => ask(fields).body
const messagesOf = (...input: unknown[]) => bodyOf({ input }).messages

/** The first complaint about a body, as `path: sentence`. */
function complaint(fields: Record<string, unknown>): string | undefined {
  const { error } = CreateResponse.safeParse({ model: 'm', input: 'Hi', ...fields })
  const [first] = error?.issues ?? []
  return first && `${first.path.join('.')}: ${first.message}`
}

const hello = { role: 'user', content: 'Hi' }
const called = (call_id: string, extra: object = {}) => ({
  type: 'function_call',
  call_id,
  name: 'look',
  arguments: '{"a":1}',
  ...extra,
})
const result = (call_id: string, output: unknown = 'Fine.') => ({ type: 'function_call_output', call_id, output })
const toolCall = (id: string) => ({ id, type: 'function', function: { name: 'look', arguments: '{"a":1}' } })

describe('a request of the Responses interface', () => {
  it('becomes a chat body of the same fields', () => {
    const fields = {
      input: [hello],
      instructions: 'Be brief.',
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      max_output_tokens: 50,
      reasoning: { effort: 'high', summary: 'auto' },
      text: { verbosity: 'low' },
      service_tier: 'auto',
      safety_identifier: 'someone',
      prompt_cache_key: 'here',
      top_logprobs: 2,
      metadata: { of: 'a test' },
      store: true,
      stream_options: { include_obfuscation: true },
    }
    expect(bodyOf(fields)).toEqual({
      model: 'm',
      messages: [{ role: 'system', content: 'Be brief.' }, hello],
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      max_completion_tokens: 50,
      reasoning_effort: 'high',
      verbosity: 'low',
      service_tier: 'auto',
      safety_identifier: 'someone',
      prompt_cache_key: 'here',
      logprobs: true,
      top_logprobs: 2,
    })
  })

  it('keeps what is ours apart', () => {
    const asked = ask({ helix: { provider: 'openai', run_id: 'r', on_disconnect: 'drain' } })
    expect(asked).toMatchObject({ wanted: { provider: 'openai' }, runId: 'r', onDisconnect: 'drain', lost: [] })
    expect(asked.body).not.toHaveProperty('helix')
  })

  it('tells what no target gets, or is refused for it', () => {
    const fields = { truncation: 'auto', moderation: { model: 'm' }, context_management: null, max_tool_calls: 3 }
    expect(ask(fields).lost).toEqual(['moderation', 'truncation'])
    expect(complaint({ ...fields, helix: { strict: true } })).toMatch(/^moderation: /)
    expect(complaint({ truncation: 'disabled', helix: { strict: true } })).toBeUndefined()
  })

  it.each([
    [{ type: 'json_object' }, { type: 'json_object' }],
    [
      { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true },
      { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
    ],
    [{ type: 'text' }, undefined],
  ])('asks for a format: %j', (format, expected) => {
    expect(bodyOf({ text: { format } }).response_format).toEqual(expected)
  })

  it.each([
    ['required', 'required'],
    [
      { type: 'function', name: 'look' },
      { type: 'function', function: { name: 'look' } },
    ],
    [
      { type: 'custom', name: 'run' },
      { type: 'custom', custom: { name: 'run' } },
    ],
    [
      { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'look' }] },
      {
        type: 'allowed_tools',
        allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'look' } }] },
      },
    ],
  ])('offers tools, with the choice %j', (tool_choice, expected) => {
    const tools = [
      { type: 'function', name: 'look', description: 'Looks', parameters: { type: 'object' }, strict: false },
      { type: 'custom', name: 'run', format: { type: 'grammar', syntax: 'lark', definition: 'd' } },
    ]
    expect(bodyOf({ tools, tool_choice, parallel_tool_calls: false })).toMatchObject({
      tools: [
        {
          type: 'function',
          function: { name: 'look', description: 'Looks', parameters: { type: 'object' }, strict: false },
        },
        {
          type: 'custom',
          custom: { name: 'run', format: { type: 'grammar', grammar: { syntax: 'lark', definition: 'd' } } },
        },
      ],
      tool_choice: expected,
      parallel_tool_calls: false,
    })
    expect(bodyOf({ tool_choice })).not.toHaveProperty('tool_choice')
  })

  it.each([
    ['a hosted tool', { tools: [{ type: 'function', name: 'f' }, { type: 'web_search' }] }, /^tools\.1\.type: /],
    ['a tool without a name', { tools: [{ type: 'function' }] }, /^tools\.0\.name: /],
    ['the choice of a hosted tool', { tool_choice: { type: 'file_search' } }, /^tool_choice\.type: /],
    ['a choice without its tools', { tool_choice: { type: 'allowed_tools', mode: 'auto' } }, /^tool_choice\.tools: /],
    ['work in the background', { background: true }, /^background: /],
    ['a stored prompt', { prompt: { id: 'p' } }, /^prompt: /],
    ['a conversation of another store', { conversation: 'c' }, /^conversation: /],
    ['nothing to answer', { input: undefined }, /^input: /],
    ['an empty list', { input: [] }, /^input: /],
    ['an item of a hosted tool', { input: [{ type: 'web_search_call', id: 'w' }] }, /^input.*type: /],
    ['an item that is none', { input: [{ content: 'Hi' }] }, /^input/],
    ['a call without its name', { input: [{ type: 'function_call', call_id: 'c', arguments: '' }] }, /^input/],
    ['a part of another kind', { input: [{ role: 'user', content: [{ type: 'video' }] }] }, /^input/],
    ['an image that is none', { input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, /^input/],
    ['a schema without its name', { text: { format: { type: 'json_schema', schema: {} } } }, /^text\.format\.name: /],
  ])('is refused with %s', (_what, fields, expected) => {
    expect(complaint(fields)).toMatch(expected)
  })
})

describe('items', () => {
  it('become messages of every kind of content', () => {
    const content = [
      { type: 'input_text', text: 'Look', cache_control: { type: 'ephemeral' } },
      { type: 'input_image', image_url: 'https://a.test/i.png', detail: 'low' },
      { type: 'input_file', file_url: 'https://a.test/f.pdf', filename: 'f.pdf' },
      { type: 'input_file', file_id: 'file_1' },
      { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
    ]
    expect(messagesOf({ role: 'developer', content: 'Be brief.' }, { type: 'message', role: 'user', content })).toEqual(
      [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look', cache_control: { type: 'ephemeral' } },
            { type: 'image_url', image_url: { url: 'https://a.test/i.png', detail: 'low' } },
            { type: 'file', file: { file_data: 'https://a.test/f.pdf', filename: 'f.pdf' } },
            { type: 'file', file: { file_id: 'file_1' } },
            { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
          ],
        },
      ],
    )
  })

  it('of one turn are one message, with results right behind its calls', () => {
    const thought = { type: 'thinking', thinking: 'Hm.', signature: 's' }
    const extra = { google: { thought_signature: 'g' } }
    const messages = messagesOf(
      hello,
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }], thinking_blocks: [thought] },
      { role: 'assistant', content: [{ type: 'output_text', text: 'Let me look.' }] },
      called('a', { extra_content: extra }),
      { type: 'custom_tool_call', call_id: 'b', name: 'run', input: 'ls' },
      { ...result('a'), is_error: true },
      { type: 'custom_tool_call_output', call_id: 'b', output: [{ type: 'input_text', text: 'none' }] },
      { role: 'assistant', content: 'So.' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] },
    )
    expect(messages).toEqual([
      hello,
      {
        role: 'assistant',
        content: 'Let me look.',
        reasoning_content: 'Hm.',
        thinking_blocks: [thought],
        tool_calls: [
          { ...toolCall('a'), extra_content: extra },
          { id: 'b', type: 'custom', custom: { name: 'run', input: 'ls' } },
        ],
      },
      { role: 'tool', tool_call_id: 'a', name: 'look', content: 'Fine.', is_error: true },
      { role: 'tool', tool_call_id: 'b', name: 'run', content: 'none' },
      { role: 'assistant', content: 'So.' },
      { role: 'assistant', content: null, refusal: 'No.' },
    ])
  })

  it('that say what was thought in words of their own are read, too', () => {
    const thought = { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] }
    expect(messagesOf(thought, { role: 'assistant', content: 'So.' })).toEqual([
      { role: 'assistant', content: 'So.', reasoning_content: 'Hm.' },
    ])
  })

  it('said behind a call stay in its message', () => {
    const messages = messagesOf(
      { role: 'assistant', content: 'One.' },
      called('a'),
      { role: 'assistant', content: 'Two.' },
      result('a'),
    )
    expect(messages).toMatchObject([
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'One.' },
          { type: 'text', text: 'Two.' },
        ],
        tool_calls: [{ id: 'a' }],
      },
      { role: 'tool', tool_call_id: 'a' },
    ])
  })

  it('keep all text, every call and every result in order, whatever their order', () => {
    const item = fc.oneof(
      fc.record({ role: fc.constantFrom('user', 'assistant', 'system'), content: fc.string({ minLength: 1 }) }),
      fc.nat(9).map((id) => called(`call_${id}`)),
      fc.nat(9).map((id) => result(`call_${id}`)),
    )
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (items) => {
        const messages = chatMessages(items as Item[])
        const texts = messages.flatMap(({ role, content }) =>
          role === 'tool' ? [] : typeof content === 'string' ? [content] : (content ?? []).map(({ text }) => text),
        )
        expect(texts).toEqual(items.flatMap((one) => ('content' in one ? [one.content] : [])))
        const calls = messages.flatMap(({ tool_calls: made }) => (made ?? []).map(({ id }) => id))
        expect(calls).toEqual(items.flatMap((one) => ('arguments' in one ? [one.call_id] : [])))
        const results = messages.flatMap(({ tool_call_id: id }) => (id === undefined ? [] : [id]))
        expect(results).toEqual(items.flatMap((one) => ('output' in one ? [one.call_id] : [])))
        // An assistant's message with calls is never followed by another of the assistant.
        const roles = messages.map(({ role, tool_calls: made }) => (made ? 'calls' : role)).join(' ')
        expect(roles).not.toMatch(/calls assistant/)
      }),
    )
  })
})
