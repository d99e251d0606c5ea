import { describe, expect, it } from 'vitest'
import { call, calling, refusedField, requestOf, result, text, turnsOf, user } from './anthropic-support.ts'

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
