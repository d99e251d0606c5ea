import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { objectsOf } from '../../../src/adapters/providers/json-shape.ts'
import { call, calls, partsIn, refusalOf, result, third, translate, user } from './gemini-support.ts'

describe('a conversation for Gemini', () => {
  it('keeps instructions apart and has two roles', () => {
    const { contents, system, ignored } = translate([
      { role: 'system', content: 'Be brief.' },
      user('Hi'),
      { role: 'assistant', content: 'Yes?', reasoning_content: 'a greeting' },
      { role: 'developer', content: [{ type: 'text', text: 'Be kind.', cache_control: { type: 'ephemeral' } }] },
      { role: 'user', content: 'Why?', name: 'ann' },
    ])
    expect(system).toEqual({ parts: [{ text: 'Be brief.' }, { text: 'Be kind.' }] })
    expect(contents).toEqual([
      { role: 'user', parts: [{ text: 'Hi' }] },
      { role: 'model', parts: [{ text: 'Yes?' }] },
      { role: 'user', parts: [{ text: 'Why?' }] },
    ])
    expect(ignored).toEqual(['messages[].name'])
  })

  it('of nothing but instructions, or with a model that takes none, begins with them', () => {
    const system = { role: 'system', content: 'Tell a story.' }
    expect(translate([system])).toMatchObject({
      system: undefined,
      contents: [{ role: 'user', parts: [{ text: 'Tell a story.' }] }],
    })
    expect(translate([system, user('Now')], 'gemma-3-27b-it')).toMatchObject({
      system: undefined,
      contents: [{ parts: [{ text: 'Tell a story.' }] }, { parts: [{ text: 'Now' }] }],
    })
  })

  it('has one content for neighbouring assistant messages, and none for empty ones', () => {
    const { contents } = translate([
      user('a'),
      { role: 'assistant', content: 'I will call.' },
      calls(call('1', 'f')),
      calls(call('2', 'g')),
      result('1', 'x'),
      result('2', 'y'),
      { role: 'assistant', content: '' },
      user('b'),
    ])
    expect(contents.map(({ role, parts }) => [role, objectsOf(parts).flatMap((part) => Object.keys(part))])).toEqual([
      ['user', ['text']],
      ['model', ['text', 'functionCall', 'functionCall']],
      ['user', ['functionResponse', 'functionResponse']],
      ['user', ['text']],
    ])
  })

  it('carries a refusal, and the call that old clients know', () => {
    const { contents } = translate([
      user('a'),
      { role: 'assistant', content: null, refusal: 'I cannot.' },
      user('b'),
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":1}' } },
      { role: 'function', name: 'f', content: '2' },
    ])
    expect(partsIn(contents)).toMatchObject([
      { text: 'a' },
      { text: 'I cannot.' },
      { text: 'b' },
      { functionCall: { name: 'f', args: { a: 1 } } },
      { functionResponse: { name: 'f', response: { result: '2' } } },
    ])
  })

  it('carries images, sound and files', () => {
    const { contents, ignored, images } = translate([
      user([
        { type: 'text', text: 'Look' },
        { type: 'image_url', image_url: { url: 'data:image/jpg;base64,/9j/4AA', detail: 'low' } },
        { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
        { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0x' } },
        { type: 'file', file: { file_data: 'JVBERi0y' } },
        { type: 'file', file: { filename: 'notes.TXT', file_data: 'aGk=' } },
        { type: 'input_audio', input_audio: { data: 'x', format: 'mod' } },
        { type: 'hologram' },
        { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
      ]),
    ])
    expect(partsIn(contents)).toEqual([
      { text: 'Look' },
      { inlineData: { mimeType: 'image/jpeg', data: '/9j/4AA' } },
      { inlineData: { mimeType: 'audio/wav', data: 'UklGRg==' } },
      { inlineData: { mimeType: 'application/pdf', data: 'JVBERi0x' } },
      { inlineData: { mimeType: 'application/pdf', data: 'JVBERi0y' } },
      { inlineData: { mimeType: 'text/plain', data: 'aGk=' } },
      { inlineData: {} },
    ])
    expect(ignored).toEqual(['messages[0].content[6]', 'messages[0].content[7]'])
    expect(images).toMatchObject([{ url: 'https://example.com/a.png', path: 'messages[0].content[8].image_url' }])
  })

  it.each([
    ['an address of another kind', [{ type: 'image_url', image_url: { url: 'ftp://x/a.png' } }], 'image_url'],
    ['a data URL that is not base64', [{ type: 'image_url', image_url: 'data:image/svg+xml,<svg/>' }], 'image_url'],
    ['a file by its id', [{ type: 'file', file: { file_id: 'file-1' } }], 'file'],
    ['a file of no known kind', [{ type: 'file', file: { file_data: 'AAAA', filename: 'x.dat' } }], 'file.file_data'],
  ])('is refused with the field’s name for %s', (_name, content, field) => {
    expect(refusalOf([user(content)])).toMatchObject({
      fault: 'status',
      status: 400,
      vendor: { param: `messages[0].content[0].${field}`, type: 'invalid_request_error' },
    })
  })
})

describe('calls and their results', () => {
  it('have objects for arguments and results, the results with the name of their call', () => {
    const { contents } = translate([
      user('a'),
      calls(call('c1', 'time', ''), call('c2', 'add', '{"a":1}')),
      result('c2', '{"sum": 2}'),
      result('c1', [{ type: 'text', text: 'noon' }]),
    ])
    expect(contents.slice(1)).toEqual([
      {
        role: 'model',
        parts: [
          { functionCall: { id: 'c1', name: 'time', args: {} } },
          { functionCall: { id: 'c2', name: 'add', args: { a: 1 } } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { id: 'c2', name: 'add', response: { sum: 2 } } },
          { functionResponse: { id: 'c1', name: 'time', response: { result: 'noon' } } },
        ],
      },
    ])
  })

  it.each([
    ['plain text', 'noon', {}, { result: 'noon' }],
    ['a list', '[1]', {}, { result: '[1]' }],
    ['broken JSON', '{"a":', {}, { result: '{"a":' }],
    [
      'a number that parsing would change',
      '{"id":12345678901234567890}',
      {},
      { result: '{"id":12345678901234567890}' },
    ],
    ['nothing', null, {}, { result: '' }],
    ['an error', 'no such file', { is_error: true }, { error: 'no such file' }],
    ['an error with details', '{"code":2}', { is_error: true }, { error: { code: 2 } }],
  ])('come back as an object: %s', (_name, content, extra, response) => {
    const { contents } = translate([user('a'), calls(call('c', 'f')), result('c', content, extra)])
    expect(partsIn(contents).at(-1)).toEqual({ functionResponse: { id: 'c', name: 'f', response } })
  })

  it('of another kind of tool travel as text', () => {
    const custom = { id: 'c', type: 'custom', custom: { name: 'shell', input: 'ls' } }
    const { contents, ignored } = translate([user('a'), calls(custom, { id: 'd', type: 'other' }), result('c', 'x')])
    expect(partsIn(contents)[1]).toEqual({ functionCall: { id: 'c', name: 'shell', args: { input: 'ls' } } })
    expect(ignored).toEqual(['messages[1].tool_calls[1]'])
  })

  it('with images have them inside from the third generation on, and beside before', () => {
    const messages = [
      user('a'),
      calls(call('c', 'shot')),
      result('c', [
        { type: 'text', text: 'done' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBOR' } },
      ]),
    ]
    const media = { inlineData: { mimeType: 'image/png', data: 'iVBOR' } }
    const response = { id: 'c', name: 'shot', response: { result: 'done' } }
    expect(translate(messages, third).contents.at(-1)).toEqual({
      role: 'user',
      parts: [{ functionResponse: { ...response, parts: [media] } }],
    })
    expect(translate(messages).contents.at(-1)).toEqual({
      role: 'user',
      parts: [{ functionResponse: response }, media],
    })
  })

  it('are refused where nobody called, and where the arguments are no object', () => {
    expect(refusalOf([user('a'), result('lost', 'x')])).toMatchObject({
      status: 400,
      vendor: { param: 'messages[1].tool_call_id' },
    })
    for (const text of ['{"a":', '[1]', '"x"']) {
      expect(refusalOf([user('a'), calls(call('c', 'f', text))])).toMatchObject({
        status: 400,
        vendor: { param: 'messages[1].tool_calls[0].function.arguments' },
      })
    }
  })

  it('carry any JSON object as arguments unchanged', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (given) => {
        const text = JSON.stringify(given)
        const [, part] = partsIn(translate([user('a'), calls(call('c', 'f', text))]).contents)
        expect(part?.functionCall).toEqual({ id: 'c', name: 'f', args: JSON.parse(text) })
      }),
    )
  })
})
