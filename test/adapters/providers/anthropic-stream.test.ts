import { describe, expect, it } from 'vitest'
import type { StreamPart } from '../../../src/core/models.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import { anthropicDecoder, apiKey, blockDelta, blockStart, blockStop, end, event, start } from './anthropic-support.ts'
import { decode, textOf } from './support.ts'

const read = (...events: string[]) => decode(anthropicDecoder(), [new TextEncoder().encode(events.join(''))])

const deltasOf = (parts: readonly StreamPart[]) => parts.flatMap(({ chunk }) => chunk.choices.map(({ delta }) => delta))
const endOf = (parts: readonly StreamPart[]) =>
  parts.flatMap(({ chunk }) => chunk.choices).find((choice) => choice.finish_reason)
const usageOf = (parts: readonly StreamPart[]) => parts.flatMap(({ chunk }) => chunk.usage ?? [])
const said = (index: number, text: string) =>
  blockStart(index, { type: 'text', text: '' }) + blockDelta(index, 'text_delta', { text }) + blockStop(index)
const toolStart = (index: number, id: string, name: string, input: object = {}) =>
  blockStart(index, { type: 'tool_use', id, name, input })
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

describe('the end', () => {
  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['pause_turn', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['tool_use', 'tool_calls'],
    ['refusal', 'content_filter'],
    ['something_new', 'stop'],
    ['constructor', 'stop'],
  ])('%s is %s', (reason, finish) => {
    const { parts } = read(start(), said(0, 'Hi'), end(reason))
    expect(endOf(parts)).toMatchObject({ finish_reason: finish, native_finish_reason: reason })
  })

  it('of a refusal keeps its category and its words', () => {
    const details = { type: 'refusal', category: 'bio', explanation: 'Not this.' }
    const { parts } = read(start(), end('refusal', { output_tokens: 1 }, { stop_details: details }))
    expect(endOf(parts)).toMatchObject({ delta: { refusal: 'Not this.' }, stop_details: details })
  })

  it('is told once, however often the vendor tells it', () => {
    const { parts } = read(
      start(),
      said(0, 'Hi'),
      event('message_delta', { delta: { stop_reason: 'max_tokens' } }),
      end(),
    )
    const finishes = parts.flatMap(({ chunk }) => chunk.choices.flatMap(({ finish_reason }) => finish_reason ?? []))
    expect(finishes).toEqual(['length'])
  })

  it('is clean without message_stop once the reason is known, and a cut before', () => {
    const stopped = end().slice(0, end().indexOf('event: message_stop'))
    const { parts, failure } = read(start(), said(0, 'Hi'), stopped)
    expect([failure, usageOf(parts).length]).toEqual([undefined, 1])
    expect(read(start(), said(0, 'Hi')).failure).toMatchObject({ fault: 'cut' })
    expect(read('<html>').failure).toMatchObject({ fault: 'garbage' })
    expect(decode(anthropicDecoder(), []).failure).toMatchObject({ fault: 'garbage' })
    expect(read('data: nonsense\n\n').failure).toMatchObject({ fault: 'garbage' })
    expect(read('data: [1]\n\n').failure).toMatchObject({ fault: 'garbage' })
  })

  it('needs no reason where message_stop comes without one', () => {
    const { parts, failure } = read(start(), said(0, 'Hi'), event('message_stop'))
    expect([failure, endOf(parts)?.finish_reason]).toEqual([undefined, 'stop'])
  })
})

describe('usage', () => {
  const usageAfter = (first: object, last: object) =>
    usageOf(read(start(first), said(0, 'x'), end('end_turn', last)).parts)

  it('is what the last event says, with the cache inside the prompt', () => {
    const first = { input_tokens: 3, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, output_tokens: 1 }
    const last = {
      input_tokens: 5,
      cache_read_input_tokens: 100,
      cache_creation_input_tokens: 20,
      output_tokens: 50,
      output_tokens_details: { thinking_tokens: 30 },
    }
    expect(usageAfter(first, last)).toEqual([
      {
        prompt_tokens: 125,
        completion_tokens: 50,
        total_tokens: 175,
        prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 20, cache_write_1h_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 30 },
      },
    ])
  })

  it('takes from the first event what later ones leave out, and tells lifetimes of the cache apart', () => {
    const cache_creation = { ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 60 }
    const first = { input_tokens: 3, cache_creation_input_tokens: 100, cache_creation, output_tokens: 1 }
    expect(usageAfter(first, { input_tokens: null, output_tokens: 9 })).toMatchObject([
      {
        prompt_tokens: 103,
        completion_tokens: 9,
        prompt_tokens_details: { cache_write_tokens: 100, cache_write_1h_tokens: 60 },
      },
    ])
    const hour = { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 60 }
    const grown = usageAfter({ ...first, cache_creation: hour }, { cache_creation_input_tokens: 150, output_tokens: 9 })
    expect(grown).toMatchObject([{ prompt_tokens_details: { cache_write_tokens: 150, cache_write_1h_tokens: 150 } }])
    const untold = usageAfter({ input_tokens: 1, cache_creation, output_tokens: 1 }, { output_tokens: 2 })
    expect(untold).toMatchObject([{ prompt_tokens: 101 }])
  })

  it('of a proxy that tells nothing at first, or nothing at all, is what there is', () => {
    expect(usageAfter({ input_tokens: 0, output_tokens: 0 }, { input_tokens: 12, output_tokens: 9 })).toMatchObject([
      { prompt_tokens: 12, completion_tokens: 9 },
    ])
    expect(usageAfter({}, {})).toEqual([])
    expect(usageAfter({ input_tokens: -5 }, { output_tokens: 1e12 })).toEqual([])
  })

  it('is not told before the end, when it would be too low for the books', () => {
    expect(usageOf(read(start(), said(0, 'Hi')).parts)).toEqual([])
  })
})

describe('an error in the middle', () => {
  const failureOf = (error: object) => read(start(), said(0, 'Hi'), event('error', { error })).failure

  it.each([
    ['overloaded_error', 529, 'server_error', 'overloaded'],
    ['rate_limit_error', 429, 'rate_limit_error', 'rate_limit_exceeded'],
    ['api_error', 500, 'server_error', null],
    ['timeout_error', 504, 'server_error', 'timeout'],
    ['billing_error', 402, 'insufficient_quota', 'insufficient_quota'],
    ['invalid_request_error', 400, 'invalid_request_error', null],
    ['something_new', undefined, 'something_new', null],
  ])('%s has the status %s', (type, status, label, code) => {
    expect(failureOf({ type, message: 'Sorry.' })).toMatchObject({
      fault: 'reported',
      status,
      vendor: { message: 'Sorry.', type: label, code },
    })
  })

  it('keeps what was said before it, and what was counted', () => {
    const { parts, failure } = read(
      start(),
      said(0, 'Hi'),
      end().split('event: message_stop')[0] ?? '',
      event('error', { error: { type: 'api_error', message: 'x' } }),
    )
    expect(textOf(parts)).toBe('Hi')
    expect(usageOf(parts)).toHaveLength(1)
    expect(failure).toBeInstanceOf(UpstreamError)
  })

  it('tells nothing about our account', () => {
    const message = `key ${apiKey} and sk-ant-api03-x_y of 7d0c2d1e-6a53-4b0b-9a3e-2f6f1f0c9a11 at vendor.test`
    expect(JSON.stringify(failureOf({ type: 'api_error', message }))).not.toMatch(/sk-ant|7d0c2d1e|vendor\.test/)
  })

  it('without a frame or without words is an error too', () => {
    expect(read(start(), event('error', { message: 'Sorry.' })).failure).toMatchObject({ fault: 'reported' })
    expect(read(start(), event('error')).failure).toMatchObject({ fault: 'reported' })
  })
})

describe('the vendor’s own events', () => {
  const events = [
    start(),
    event('ping'),
    said(0, 'Hi'),
    toolStart(1, 'toolu_a', 'f'),
    blockStop(1),
    end('tool_use'),
  ].join('')

  it('go along in order, each once, with what they became', () => {
    const { parts } = decode(anthropicDecoder({ native: true }), [new TextEncoder().encode(events)])
    const told = parts
      .flatMap(({ native = [] }) => native)
      .map(({ event, data }) => `event: ${event}\ndata: ${data}\n\n`)
    expect(told.join('')).toBe(events)
    const { parts: plain } = decode(anthropicDecoder(), [new TextEncoder().encode(events)])
    const choices = (all: readonly StreamPart[]) => all.flatMap(({ chunk }) => chunk.choices)
    expect(choices(parts)).toEqual(choices(plain))
    expect(plain.every(({ native }) => native === undefined)).toBe(true)
  })

  it('are the same for every split of the bytes', () => {
    const bytes = new TextEncoder().encode(events)
    const whole = decode(anthropicDecoder({ native: true }), [bytes]).parts.map(({ native }) => native)
    for (let at = 1; at < bytes.length; at++) {
      const { parts } = decode(anthropicDecoder({ native: true }), [bytes.subarray(0, at), bytes.subarray(at)])
      expect(
        parts.map(({ native }) => native),
        `split at ${at}`,
      ).toEqual(whole)
    }
  })
})
