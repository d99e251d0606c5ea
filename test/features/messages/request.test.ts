import { describe, expect, it } from 'vitest'
import { inputBound } from '../../../src/features/completions/request.ts'
import { askedOfMessages } from '../../../src/features/messages/request.ts'
import { MessagesRequest } from '../../../src/features/messages/schema.ts'
import { targetOf } from '../completions/world.ts'

const hello = { role: 'user', content: 'Hi' }
const cached = { type: 'ephemeral', ttl: '1h' }
const png = { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' }

/** A body as the route takes it, translated. Throws when the schema refuses it. */
const ask = (fields: Record<string, unknown> = {}, headers?: Headers) =>
  askedOfMessages(MessagesRequest.parse({ model: 'm', max_tokens: 100, messages: [hello], ...fields }), headers)

const bodyOf = (fields: Record<string, unknown>) => ask(fields).body
const messagesOf = (...messages: unknown[]) => bodyOf({ messages }).messages
const user = (...content: unknown[]) => ({ role: 'user', content })
const assistant = (...content: unknown[]) => ({ role: 'assistant', content })
const text = (words: string, extra: object = {}) => ({ type: 'text', text: words, ...extra })

describe('a request in Anthropic’s words', () => {
  it('becomes a chat body of the same fields', () => {
    const fields = {
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      stop_sequences: ['END'],
      metadata: { user_id: 'someone' },
      service_tier: 'auto',
      thinking: null,
    }
    expect(bodyOf(fields)).toEqual({
      model: 'm',
      messages: [hello],
      max_tokens: 100,
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      stop: ['END'],
      user: 'someone',
    })
  })

  it.each([
    ['a text', 'Be brief.', [{ role: 'system', content: 'Be brief.' }]],
    ['one block', [text('Be brief.')], [{ role: 'system', content: 'Be brief.' }]],
    [
      'blocks that are to be cached',
      [text('Be'), text('brief.', { cache_control: cached })],
      [{ role: 'system', content: [text('Be'), text('brief.', { cache_control: cached })] }],
    ],
    ['nothing', '', []],
    ['no blocks', [], []],
  ])('has its instructions first, where they are %s', (_what, system, expected) => {
    expect(bodyOf({ system }).messages).toEqual([...expected, hello])
  })

  it('keeps instructions in the middle where they are', () => {
    const later = { role: 'system', content: [text('Now in German.')] }
    expect(messagesOf(hello, later, hello)).toEqual([hello, { role: 'system', content: 'Now in German.' }, hello])
  })

  it('shows pictures, documents and results of a search', () => {
    const content = [
      text('Look:', { cache_control: cached }),
      { type: 'image', source: png, cache_control: cached },
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
      { type: 'document', source: { ...png, media_type: 'application/pdf' }, title: 'a.pdf', context: 'The bill.' },
      { type: 'document', source: { type: 'url', url: 'https://example.com/b.pdf' } },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Plain.' }, title: 'Notes' },
      { type: 'document', source: { type: 'content', content: [text('In'), { type: 'image', source: png }] } },
      { type: 'document', source: { type: 'file', file_id: 'file_1' } },
      { type: 'search_result', source: 'https://example.com', title: 'Found', content: [text('It says so.')] },
    ]
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }
    expect(messagesOf(user(...content))).toEqual([
      user(
        text('Look:', { cache_control: cached }),
        { ...image, cache_control: cached },
        { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
        text('The bill.'),
        { type: 'file', file: { file_data: 'data:application/pdf;base64,iVBORw0KGgo=', filename: 'a.pdf' } },
        { type: 'file', file: { file_data: 'https://example.com/b.pdf' } },
        text('Notes'),
        text('Plain.'),
        text('In'),
        image,
        { type: 'file', file: { file_id: 'file_1' } },
        text('Found\nhttps://example.com'),
        text('It says so.'),
      ),
    ])
  })

  it('puts the results of tools right behind their calls, each with the name of its tool', () => {
    const history = [
      hello,
      assistant(
        text('Let me look.'),
        { type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 'ä' } },
        { type: 'tool_use', id: 'toolu_2', name: 'ask', input: {}, cache_control: cached },
      ),
      user(
        text('Here:'),
        { type: 'tool_result', tool_use_id: 'toolu_1', content: 'Seen.' },
        {
          type: 'tool_result',
          tool_use_id: 'toolu_2',
          is_error: true,
          cache_control: cached,
          content: [text('No.'), { type: 'image', source: png }],
        },
      ),
    ]
    expect(messagesOf(...history)).toEqual([
      hello,
      {
        role: 'assistant',
        content: 'Let me look.',
        tool_calls: [
          { id: 'toolu_1', type: 'function', function: { name: 'look', arguments: '{"at":"ä"}' } },
          { id: 'toolu_2', type: 'function', function: { name: 'ask', arguments: '{}' }, cache_control: cached },
        ],
      },
      { role: 'tool', tool_call_id: 'toolu_1', name: 'look', content: 'Seen.' },
      {
        role: 'tool',
        tool_call_id: 'toolu_2',
        name: 'ask',
        is_error: true,
        cache_control: cached,
        content: [text('No.'), { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }],
      },
      { role: 'user', content: 'Here:' },
    ])
  })

  it('keeps thoughts whole and in order, and their text readable', () => {
    const thoughts = [
      { type: 'thinking', thinking: 'Hm.', signature: 'sig-1' },
      { type: 'redacted_thinking', data: 'secret' },
      { type: 'thinking', thinking: '', signature: 'sig-2' },
    ]
    expect(messagesOf(hello, assistant(...thoughts, text('So.')))).toEqual([
      hello,
      { role: 'assistant', content: 'So.', reasoning_content: 'Hm.', thinking_blocks: thoughts },
    ])
  })

  it('takes back what another wire wanted to have back', () => {
    const extra = { google: { thought_signature: 'sig' } }
    const call = { type: 'tool_use', id: 'hxid_YTpi', name: 'f', input: {}, extra_content: extra }
    const asked = ask({ messages: [hello, assistant({ type: 'thinking', thinking: 'Hm.', signature: '' }, call)] })
    expect(asked.body.messages[1]).toEqual({
      role: 'assistant',
      content: null,
      reasoning_content: 'Hm.',
      tool_calls: [{ id: 'a:b', type: 'function', function: { name: 'f', arguments: '{}' }, extra_content: extra }],
    })
    expect(asked.translation?.native).toBeUndefined()
  })
})

describe('a history with an id that Anthropic does not take', () => {
  it.each(['a'.repeat(65), 'a.b', ''])('%s is translated for it', (id) => {
    const messages = [hello, assistant({ type: 'tool_use', id, name: 'f', input: {} })]
    expect(ask({ messages }).translation?.native).toBeUndefined()
  })
})

describe('tools', () => {
  const own = { name: 'look', description: 'Looks.', input_schema: { type: 'object', properties: {} } }
  const search = { type: 'web_search_20250305', name: 'web_search', max_uses: 3 }

  it('of the caller are functions', () => {
    const tools = [own, { ...own, type: 'custom', name: 'ask', strict: true, cache_control: cached }]
    expect(bodyOf({ tools }).tools).toEqual([
      { type: 'function', function: { name: 'look', description: 'Looks.', parameters: own.input_schema } },
      {
        type: 'function',
        function: { name: 'ask', description: 'Looks.', parameters: own.input_schema, strict: true },
        cache_control: cached,
      },
    ])
  })

  it('that only Anthropic has are named as what is lost', () => {
    const asked = ask({ tools: [own, search, { type: 'bash_20250124', name: 'bash' }] })
    expect(asked.body.tools).toHaveLength(1)
    expect(asked.translation).toMatchObject({
      untranslated: ['tools.web_search_20250305', 'tools.bash_20250124'],
      readsMore: true,
      native: { body: { tools: [own, search, { type: 'bash_20250124', name: 'bash' }] } },
    })
    expect(ask({ tools: [{ type: 'bash_20250124', name: 'bash' }] }).translation?.readsMore).toBe(false)
    expect(ask({ tools: [search] }).body).not.toHaveProperty('tools')
  })

  it.each([
    [{ context_management: { edits: [{ type: 'clear_thinking_20251015' }] } }, false],
    [{ context_management: { edits: [{ type: 'compact_20260112' }] } }, true],
    [{ context_management: { edits: [null, 'compact'] } }, false],
    [{ compaction: { type: 'summarize' } }, true],
    [{ compaction: null, context_management: 'compact' }, false],
  ])('are not all that is read of %j', (fields, readsMore) => {
    expect(ask(fields).translation?.readsMore).toBe(readsMore)
  })

  it.each([
    [{ type: 'auto' }, { tool_choice: 'auto' }],
    [{ type: 'any' }, { tool_choice: 'required' }],
    [{ type: 'none' }, { tool_choice: 'none' }],
    [{ type: 'tool', name: 'look' }, { tool_choice: { type: 'function', function: { name: 'look' } } }],
    [
      { type: 'auto', disable_parallel_tool_use: true },
      { tool_choice: 'auto', parallel_tool_calls: false },
    ],
  ])('are chosen by %j', (tool_choice, expected) => {
    expect(bodyOf({ tools: [own], tool_choice })).toMatchObject(expected)
  })

  it('that are lost cannot be chosen', () => {
    const asked = ask({ tools: [own, search], tool_choice: { type: 'tool', name: 'web_search' } })
    expect(asked.body).not.toHaveProperty('tool_choice')
    expect(asked.translation?.untranslated).toContain('tool_choice')
  })
})

describe('how hard to think', () => {
  it.each([
    [{ thinking: { type: 'enabled', budget_tokens: 2048 } }, { level: 'low', field: 'thinking' }],
    [{ thinking: { type: 'enabled', budget_tokens: 10_000 } }, { level: 'medium', field: 'thinking' }],
    [{ thinking: { type: 'enabled', budget_tokens: 32_000 } }, { level: 'high', field: 'thinking' }],
    [{ thinking: { type: 'disabled' } }, undefined],
    [{ thinking: { type: 'adaptive' } }, undefined],
    [
      { thinking: { type: 'adaptive' }, output_config: { effort: 'max' } },
      { level: 'high', field: 'output_config.effort' },
    ],
  ])('is told by %j', (fields, effort) => {
    const asked = ask(fields)
    expect(asked.translation?.effort).toEqual(effort)
    expect(asked.body).not.toHaveProperty('reasoning_effort')
  })

  it('is no reason to lose the form of the answer', () => {
    const schema = { type: 'object', properties: {} }
    expect(bodyOf({ output_config: { effort: 'low', format: { type: 'json_schema', schema } } })).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'output', strict: true, schema } },
    })
  })
})

describe('the native request', () => {
  const fields = {
    system: [text('Be brief.', { cache_control: cached })],
    container: 'c_1',
    future_field: { a: 1 },
    helix: { provider: 'anthropic', strict: false },
    provider: 'x',
    force_provider: 'y',
    speed: 'fast',
  }

  it('is the body as it was sent, without what is ours and what cannot be had at its price', () => {
    const asked = ask(
      fields,
      new Headers({
        'anthropic-beta': 'a-1,b-2',
        'anthropic-version': '2026-10-21',
        'x-api-key': 'hx_secret',
        cookie: 'c',
      }),
    )
    const { helix, provider, force_provider, speed, ...sent } = fields
    expect(asked.translation?.native).toEqual({
      wire: 'anthropic',
      body: { model: 'm', max_tokens: 100, messages: [hello], ...sent },
      headers: { 'anthropic-version': '2026-10-21', 'anthropic-beta': 'a-1,b-2' },
    })
    expect(asked.translation?.untranslated).toEqual(['container', 'future_field'])
    expect(asked.lost).toEqual(['speed'])
    expect(asked.wanted.provider).toBe('anthropic')
  })

  it('keeps blocks that nobody here knows, which a translation loses by name', () => {
    const block = { type: 'server_tool_use', id: 'srv_1', name: 'web_search', input: {} }
    const asked = ask({ messages: [hello, assistant(block, text('Found.'))] })
    expect(asked.translation?.untranslated).toEqual(['server_tool_use'])
    expect(asked.body.messages[1]).toEqual({ role: 'assistant', content: 'Found.' })
    expect(asked.translation?.native?.body.messages).toEqual([hello, assistant(block, text('Found.'))])
  })
})

describe('what a model can read of it in its own words', () => {
  const claude = targetOf('anthropic', 'claude-sonnet-4-5')
  const bytes = 1_000_000
  const hidden = { type: 'url', data: 'x '.repeat(bytes / 2) }
  const boundOf = (...messages: unknown[]) => inputBound(ask({ messages }), claude) ?? 0
  const call = (input: object) => assistant({ type: 'tool_use', id: 'toolu_1', name: 'f', input })

  it.each([
    ['the input of a tool', [hello, call(hidden)]],
    ['a picture in the input of a tool', [hello, call({ type: 'image', source: hidden })]],
    ['a field of a text', [user(text('Hi', { source: hidden }))]],
  ])('counts what only looks like an image: %s', (_name, messages) => {
    expect(boundOf(...messages)).toBeGreaterThanOrEqual(bytes)
  })

  it('counts a schema that only looks like an image', () => {
    const tools = [{ name: 'f', input_schema: { type: 'object', properties: {}, default: hidden } }]
    expect(inputBound(ask({ tools }), claude)).toBeGreaterThanOrEqual(bytes)
  })

  it('counts what the vendor tells its model of tools that it knows by their type', () => {
    const bound = (...tools: unknown[]) => inputBound(ask({ tools }), claude) ?? 0
    const computer = { type: 'computer_20250124', name: 'computer', display_width_px: 1, display_height_px: 1 }
    const without = inputBound(ask(), claude) ?? 0
    // 499 of the instructions and 735 of the tool itself.
    expect(bound(computer) - without).toBeGreaterThan(1234 + JSON.stringify(computer).length)
    const own = { type: 'custom', name: 'f', input_schema: { type: 'object' } }
    expect(bound(own) - without).toBeLessThan(1500)
  })

  it('counts images by the piece, wherever they stand', () => {
    const big = { type: 'image', source: { ...png, data: 'A'.repeat(bytes) } }
    const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: [big] }
    const inDocument = { type: 'document', source: { type: 'content', content: [big] } }
    expect(boundOf(user(big), call({}), user(result))).toBeLessThan(bytes / 10)
    expect(boundOf(user(inDocument))).toBeLessThan(bytes / 10)
    expect(boundOf(user(big, big)) - boundOf(user(big))).toBeGreaterThanOrEqual(claude.entry?.imageTokenBound ?? 1e9)
  })
})
