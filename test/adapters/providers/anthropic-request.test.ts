import { describe, expect, it } from 'vitest'
import { refusedField, requestOf, turnsOf } from './anthropic-support.ts'

const user = (content: unknown) => ({ role: 'user', content })
const text = (value: string) => ({ type: 'text', text: value })
const call = (id: string, args = '{}', name = 'f') => ({ id, type: 'function', function: { name, arguments: args } })
const calling = (...calls: object[]) => ({ role: 'assistant', content: null, tool_calls: calls })
const result = (id: string, content: unknown = 'ok', extra: object = {}) => ({
  role: 'tool',
  tool_call_id: id,
  content,
  ...extra,
})

describe('a conversation', () => {
  it('has its instructions, of both names, before it', () => {
    const { body } = requestOf({ messages: [{ role: 'system', content: 'Be brief.' }, user('Hi')] })
    expect(body).toMatchObject({ system: 'Be brief.', messages: [{ role: 'user', content: [text('Hi')] }] })
    const both = requestOf({
      messages: [{ role: 'system', content: 'A' }, user('Hi'), { role: 'developer', content: [text('B'), text('C')] }],
    })
    expect(both.body.system).toEqual([text('A'), text('B'), text('C')])
    expect(both.body.messages).toEqual([{ role: 'user', content: [text('Hi')] }])
    expect(both.ignored).toEqual([])
  })

  it('keeps the marks for the cache, on parts, on strings, on tools and their results', () => {
    const hour = { type: 'ephemeral', ttl: '1h' }
    const { body, ignored } = requestOf({
      messages: [
        { role: 'system', content: 'Long.', cache_control: hour },
        user([{ ...text('A'), cache_control: { type: 'ephemeral', other: 1 } }, text('B')]),
        calling({ ...call('a'), cache_control: hour }),
        result('a', 'ok', { cache_control: { type: 'ephemeral', ttl: '2h' } }),
      ],
      tools: [{ type: 'function', function: { name: 'f' }, cache_control: hour }],
    })
    const short = { type: 'ephemeral' }
    expect(body.system).toEqual([{ ...text('Long.'), cache_control: hour }])
    expect(body.tools).toMatchObject([{ name: 'f', cache_control: hour }])
    expect(body.messages).toEqual([
      { role: 'user', content: [{ ...text('A'), cache_control: short }, text('B')] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: {}, cache_control: hour }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'ok', cache_control: short }] },
    ])
    expect(ignored).toEqual([])
  })

  it('joins messages of one side in a row', () => {
    const said = [
      user('A'),
      user('B'),
      { role: 'assistant', content: 'C' },
      { role: 'assistant', content: [text('D')] },
    ]
    expect(turnsOf([...said, user('E')])).toEqual([
      { role: 'user', content: [text('A'), text('B')] },
      { role: 'assistant', content: [text('C'), text('D')] },
      { role: 'user', content: [text('E')] },
    ])
  })

  it('leaves out text that the vendor refuses because nothing is in it', () => {
    expect(turnsOf([user([text(' '), text('A')]), { role: 'assistant', content: '' }, user('B')])).toEqual([
      { role: 'user', content: [text('A'), text('B')] },
    ])
  })

  it('begins with a user, if with none of the caller’s', () => {
    const stand = { role: 'user', content: [text('.')] }
    expect(turnsOf([{ role: 'assistant', content: 'Hi' }, user('A')])).toEqual([
      stand,
      { role: 'assistant', content: [text('Hi')] },
      { role: 'user', content: [text('A')] },
    ])
    expect(turnsOf([{ role: 'system', content: 'A' }])).toEqual([stand])
  })

  it('tells what of its messages is lost', () => {
    const messages = [
      { ...user([text('A'), { type: 'input_audio', input_audio: {} }]), name: 'Ann' },
      { role: 'assistant', content: 'B', reasoning_content: 'why', audio: { id: 'x' } },
      user('C'),
    ]
    const { body, ignored } = requestOf({ messages })
    expect(ignored).toEqual([
      'messages[].name',
      'messages[0].content[1]',
      'messages[].reasoning_content',
      'messages[1].audio',
    ])
    expect(JSON.stringify(body)).not.toMatch(/Ann|why|audio/)
  })

  it('keeps what the assistant refused to do as its words', () => {
    expect(turnsOf([user('A'), { role: 'assistant', content: null, refusal: 'No.' }, user('B')])).toMatchObject([
      {},
      { role: 'assistant', content: [text('No.')] },
      {},
    ])
  })

  it('refuses roles that nobody knows', () => {
    expect(refusedField({ messages: [user('A'), { role: 'critic', content: 'B' }] })).toBe('messages[1].role')
  })
})

describe('tool calls', () => {
  it('have objects as input', () => {
    const turns = turnsOf([user('A'), calling(call('a', '{"x":[1,"ü"]}'), call('b', ''), call('c', ' {} '))])
    expect(turns).toMatchObject([{}, { content: [{ input: { x: [1, 'ü'] } }, { input: {} }, { input: {} }] }])
  })

  it.each(['{"x":', '[1]', '"x"', 'null'])('with arguments that are no object are refused by name: %s', (args) => {
    const messages = [user('A'), calling(call('a'), call('b', args))]
    expect(refusedField({ messages })).toBe('messages[1].tool_calls[1].function.arguments')
  })

  it('are answered together, and before anything else in that turn', () => {
    const turns = turnsOf([
      user('A'),
      calling(call('a'), call('b')),
      result('b', 'two'),
      user('And?'),
      result('a', 'one', { is_error: true }),
    ])
    expect(turns).toMatchObject([
      {},
      { role: 'assistant', content: [{ id: 'a' }, { id: 'b' }] },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'b', content: 'two' },
          { type: 'tool_result', tool_use_id: 'a', content: 'one', is_error: true },
          text('And?'),
        ],
      },
    ])
  })

  it('may have results of text and images, or none', () => {
    const image = { type: 'image_url', image_url: { url: 'https://images.test/a.png' } }
    const turns = turnsOf([
      user('A'),
      calling(call('a'), call('b')),
      result('a', [text('see'), image]),
      result('b', ''),
    ])
    expect(turns).toMatchObject([
      {},
      {},
      {
        content: [
          { content: [text('see'), { type: 'image', source: { type: 'url', url: 'https://images.test/a.png' } }] },
          { type: 'tool_result', tool_use_id: 'b' },
        ],
      },
    ])
    expect(JSON.stringify(turns)).not.toContain('"content":""')
  })

  it('have ids that the vendor accepts, the same in every turn, each once', () => {
    const long = `call_${'x'.repeat(80)}`
    const first = [
      user('A'),
      calling(call('functions.f:0'), call(long), call('ok-1_A')),
      result(long),
      result('ok-1_A'),
    ]
    const opening = [...first, result('functions.f:0')]
    const ids = (turns: unknown) => JSON.stringify(turns).match(/(?<="(?:id|tool_use_id)":")[^"]*/g)
    expect(ids(turnsOf(opening))).toEqual(['hx_tool_1', 'hx_tool_2', 'ok-1_A', 'hx_tool_2', 'ok-1_A', 'hx_tool_1'])
    const longer = [
      ...opening,
      calling(call('functions.f:0'), call('hx_tool_1')),
      result('functions.f:0'),
      result('hx_tool_1'),
    ]
    expect(ids(turnsOf(longer))?.slice(6)).toEqual(['hx_tool_4', 'hx_tool_5', 'hx_tool_4', 'hx_tool_5'])
    expect(JSON.stringify(turnsOf(longer)).startsWith(JSON.stringify(turnsOf(opening)).slice(0, -1))).toBe(true)
  })

  it('of old clients are understood', () => {
    const old = { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":1}' } }
    const turns = turnsOf([user('A'), old, { role: 'function', name: 'f', content: 'ok' }])
    expect(turns).toMatchObject([
      {},
      { content: [{ type: 'tool_use', id: 'hx_tool_1', name: 'f', input: { a: 1 } }] },
      { content: [{ type: 'tool_result', tool_use_id: 'hx_tool_1', content: 'ok' }] },
    ])
    const broken = { ...old, function_call: { name: 'f', arguments: '{' } }
    expect(refusedField({ messages: [user('A'), broken] })).toBe('messages[1].function_call.arguments')
  })

  it('without a name, and results without a call, are refused', () => {
    expect(refusedField({ messages: [user('A'), calling({ id: 'a', type: 'function' })] })).toBe(
      'messages[1].tool_calls[0].function',
    )
    expect(refusedField({ messages: [user('A'), { role: 'tool', content: 'x' }] })).toBe('messages[1].tool_call_id')
  })
})

describe('images and files', () => {
  const part = (url: unknown) => user([{ type: 'image_url', image_url: url }])
  const file = (value: object) => user([{ type: 'file', file: value }])
  const blockOf = (message: ReturnType<typeof user>) => (turnsOf([message]) as { content: unknown[] }[])[0]?.content[0]
  const base64 = (media_type: string, data: string) => ({ source: { type: 'base64', media_type, data } })

  it('come as bytes or as addresses', () => {
    expect(blockOf(part({ url: 'data:image/png;base64,iVBORw0K' }))).toEqual({
      type: 'image',
      ...base64('image/png', 'iVBORw0K'),
    })
    expect(blockOf(part('data:image/JPG;charset=x;base64,/9j/'))).toMatchObject(base64('image/jpeg', '/9j/'))
    expect(blockOf(part({ url: 'https://images.test/a b.png', detail: 'auto' }))).toEqual({
      type: 'image',
      source: { type: 'url', url: 'https://images.test/a b.png' },
    })
  })

  it('tell that a wish for detail is lost', () => {
    expect(requestOf({ messages: [part({ url: 'https://images.test/a.png', detail: 'low' })] }).ignored).toEqual([
      'messages[0].content[0].image_url.detail',
    ])
  })

  it.each(['http://images.test/a.png', 'data:image/tiff;base64,SUkq', 'data:image/png,raw', 'file:///etc/passwd', 7])(
    'are refused by name where the vendor cannot take them: %s',
    (url) => {
      expect(refusedField({ messages: [user('A'), part({ url })] })).toBe('messages[1].content[0].image_url')
    },
  )

  it('are documents where they are PDFs or text', () => {
    const title = { title: 'a.pdf' }
    const pdf = { type: 'document', ...base64('application/pdf', 'JVBERi0x') }
    expect(blockOf(file({ file_data: 'data:application/pdf;base64,JVBERi0x', filename: 'a.pdf' }))).toEqual({
      ...pdf,
      ...title,
    })
    expect(blockOf(file({ file_data: 'JVBERi0x' }))).toEqual(pdf)
    expect(blockOf(file({ file_data: 'https://files.test/a.pdf', filename: 'a.pdf' }))).toEqual({
      type: 'document',
      source: { type: 'url', url: 'https://files.test/a.pdf' },
      ...title,
    })
    const source = { type: 'text', media_type: 'text/plain', data: 'größe' }
    const bytes = Buffer.from('größe').toString('base64')
    expect(blockOf(file({ file_data: `data:text/markdown;base64,${bytes}` }))).toEqual({ type: 'document', source })
    expect(blockOf(file({ file_data: bytes, filename: 'a.csv' }))).toMatchObject({ source })
    expect(blockOf(file({ file_data: 'data:image/webp;base64,UklG' }))).toMatchObject({ type: 'image' })
  })

  it.each([
    [{ file_id: 'file-1' }, 'file'],
    [{ file_data: 'UEsDBA==', filename: 'a.zip' }, 'file.file_data'],
    [{ file_data: 'data:text/plain;base64,/w==' }, 'file.file_data'],
    [{ file_data: 'data:text/plain;base64,%%%' }, 'file.file_data'],
  ])('are refused by name where they are nothing of this: %o', (value, field) => {
    expect(refusedField({ messages: [file(value)] })).toBe(`messages[0].content[0].${field}`)
  })
})

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
