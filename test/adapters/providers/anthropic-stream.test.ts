import { describe, expect, it } from 'vitest'
import type { StreamPart } from '../../../src/core/models.ts'
import {
  anthropicDecoder,
  blockDelta,
  blockStart,
  blockStop,
  end,
  endOf,
  event,
  read,
  said,
  start,
  toolStart,
} from './anthropic-support.ts'
import { decode, textOf } from './support.ts'

const deltasOf = (parts: readonly StreamPart[]) => parts.flatMap(({ chunk }) => chunk.choices.map(({ delta }) => delta))
const json = (index: number, partial: string) => blockDelta(index, 'input_json_delta', { partial_json: partial })

describe('events', () => {
  it('become chunks with one head, a role first, one finish reason and usage at the end', () => {
    const { parts, failure } = read(start(), event('ping'), said(0, 'Hi'), end())
    expect(failure).toBeUndefined()
    expect(parts.map(({ chunk }) => [chunk.choices[0]?.delta, chunk.choices[0]?.finish_reason, chunk.usage])).toEqual([
      [{ role: 'assistant', content: '' }, null, undefined],
      [{ content: 'Hi' }, null, undefined],
      [{}, 'stop', undefined],
      [undefined, undefined, expect.objectContaining({ prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 })],
    ])
    for (const { chunk, json } of parts) {
      expect(chunk).toMatchObject({ id: 'msg_1', object: 'chat.completion.chunk', model: 'claude-x' })
      expect(JSON.parse(json)).toEqual(chunk)
    }
  })

  it('of unknown kinds, blocks and deltas are passed over', () => {
    const { parts, failure } = read(
      start(),
      event('content_block_preview', { index: 0 }),
      blockStart(0, { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} }),
      json(0, '{"query":"x"}'),
      blockStop(0),
      blockStart(1, {
        type: 'web_search_tool_result',
        tool_use_id: 'srvtoolu_1',
        content: [{ url: 'https://a.test' }],
      }),
      blockStop(1),
      blockDelta(9, 'colour_delta', { colour: 'red' }),
      json(9, '{'),
      blockStop(9),
      event('content_block_delta', { index: 2 }),
      said(2, 'Hi'),
      end(),
    )
    expect([failure, textOf(parts)]).toEqual([undefined, 'Hi'])
    expect(deltasOf(parts).some((delta) => delta.tool_calls)).toBe(false)
  })

  it('give the model that was asked where the vendor names none', () => {
    const { parts } = read(event('message_start'), said(0, 'Hi'), end())
    expect(parts[0]?.chunk).toMatchObject({ model: 'asked', id: expect.stringMatching(/^chatcmpl-/) })
    const headless = read(said(0, 'Hi'), end())
    expect(deltasOf(headless.parts)[0]).toEqual({ role: 'assistant', content: 'Hi' })
  })
})

describe('tool calls', () => {
  it('are numbered as they appear, told once, and keep every fragment of their input', () => {
    const { parts } = read(
      start(),
      said(0, 'So.'),
      toolStart(1, 'toolu_a', 'f'),
      json(1, ''),
      json(1, '{"x":"\\u00'),
      json(1, 'e9"}'),
      blockStop(1),
      toolStart(4, 'toolu_b', 'g'),
      json(4, '{}'),
      blockStop(4),
      end('tool_use'),
    )
    expect(deltasOf(parts).flatMap((delta) => delta.tool_calls ?? [])).toEqual([
      { index: 0, id: 'toolu_a', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 0, function: { arguments: '{"x":"\\u00' } },
      { index: 0, function: { arguments: 'e9"}' } },
      { index: 1, id: 'toolu_b', type: 'function', function: { name: 'g', arguments: '' } },
      { index: 1, function: { arguments: '{}' } },
    ])
    expect(endOf(parts)?.finish_reason).toBe('tool_calls')
  })

  it.each([
    ['without arguments', {}, '{}'],
    ['whose input came whole', { a: 1 }, '{"a":1}'],
  ])('%s are told their input at the end', (_name, input, text) => {
    const { parts } = read(start(), toolStart(0, 'toolu_a', 'f', input), blockStop(0), end('tool_use'))
    expect(deltasOf(parts).at(2)?.tool_calls).toEqual([{ index: 0, function: { arguments: text } }])
  })

  it('that the vendor never closed are closed by its end', () => {
    const { parts } = read(start(), toolStart(0, 'toolu_a', 'f'), end('tool_use'))
    expect(deltasOf(parts).flatMap((delta) => delta.tool_calls ?? [])).toMatchObject([
      { function: { name: 'f' } },
      { function: { arguments: '{}' } },
    ])
  })

  it('of a custom tool are text, in one piece', () => {
    const decoder = anthropicDecoder({ customTools: ['run'] })
    const events = start() + toolStart(0, 'toolu_a', 'run') + json(0, '{"input":"l') + json(0, 's\\n"}') + blockStop(0)
    const { parts } = decode(decoder, [new TextEncoder().encode(events + end('tool_use'))])
    expect(deltasOf(parts).flatMap((delta) => delta.tool_calls ?? [])).toEqual([
      { index: 0, id: 'toolu_a', type: 'custom', custom: { name: 'run', input: 'ls\n' } },
    ])
  })
})

describe('thoughts', () => {
  const thinking = (index: number, text: string[], signature?: string) =>
    blockStart(index, { type: 'thinking', thinking: '', signature: '' }) +
    text.map((piece) => blockDelta(index, 'thinking_delta', { thinking: piece })).join('') +
    (signature === undefined ? '' : blockDelta(index, 'signature_delta', { signature })) +
    blockStop(index)

  it('are read as they come, and given whole once they are signed', () => {
    const { parts } = read(start(), thinking(0, ['H', 'm.'], 'sig=='), said(1, 'Hi'), end())
    expect(deltasOf(parts).slice(1, -1)).toEqual([
      { reasoning_content: 'H' },
      { reasoning_content: 'm.' },
      { thinking_blocks: [{ type: 'thinking', thinking: 'Hm.', signature: 'sig==' }] },
      { content: 'Hi' },
    ])
  })

  it('without words are given for their signature', () => {
    const { parts } = read(start(), thinking(0, [], 'sig=='), said(1, 'Hi'), end())
    expect(deltasOf(parts)[1]).toEqual({ thinking_blocks: [{ type: 'thinking', thinking: '', signature: 'sig==' }] })
  })

  it('that are hidden or unsigned are given as far as they are', () => {
    const hidden = blockStart(0, { type: 'redacted_thinking', data: 'Er==' }) + blockStop(0)
    const { parts } = read(start(), hidden, thinking(1, ['x']), said(2, 'Hi'), end())
    expect(deltasOf(parts).slice(1, -1)).toEqual([
      { thinking_blocks: [{ type: 'redacted_thinking', data: 'Er==' }] },
      { reasoning_content: 'x' },
      { content: 'Hi' },
    ])
  })
})

describe('citations', () => {
  it('mark the text of their block, where the source has an address', () => {
    const cite = (citation: object) => blockDelta(1, 'citations_delta', { citation })
    const { parts } = read(
      start(),
      said(0, 'So '),
      blockStart(1, { type: 'text', text: '', citations: [] }),
      cite({ type: 'web_search_result_location', url: 'https://a.test/x', title: 'X', cited_text: 'x' }),
      blockDelta(1, 'text_delta', { text: 'it is' }),
      cite({ type: 'search_result_location', source: 'https://b.test/', title: null }),
      cite({ type: 'char_location', document_index: 0, cited_text: 'y' }),
      cite({ type: 'search_result_location', source: 'shelf 4' }),
      blockStop(1),
      end(),
    )
    const source = (url: string, title: string) => ({
      type: 'url_citation',
      url_citation: { url, title, start_index: 3, end_index: 8 },
    })
    expect(deltasOf(parts).flatMap((delta) => delta.annotations ?? [])).toEqual([
      source('https://a.test/x', 'X'),
      source('https://b.test/', 'https://b.test/'),
    ])
  })
})
