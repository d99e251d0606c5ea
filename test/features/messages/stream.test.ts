import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { type NativeEvent, type StreamPart, UpstreamError } from '../../../src/core/models.ts'
import { messagesRendering } from '../../../src/features/messages/rendering.ts'
import { askedOfMessages } from '../../../src/features/messages/request.ts'
import { messageEvents, readMessage } from '../../support/message-events.ts'
import { begin, callOf, fragment, interleave, part } from '../../support/stream-parts.ts'

const booked = {
  usage: { prompt: 9, cached: 2, cacheWrite: 0, completion: 5, reasoning: 0 },
  estimated: false,
  costNanoUsd: 1500,
}

const writer = () => {
  const asked = askedOfMessages({ model: 'asked', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] })
  return messagesRendering('msg_1').stream(asked, () => [])
}

/** Everything that is written of a stream that ends well. */
function written(parts: readonly StreamPart[]): string {
  const one = writer()
  return parts.map((each) => one.part(each)).join('') + one.end('finished', booked)
}

const read = (...parts: StreamPart[]) => readMessage(written(parts))
const shown = ({ blocks }: ReturnType<typeof readMessage>) => blocks.map(({ type, text }) => [type, text])

describe('a stream of events', () => {
  it('begins with the message and ends with its reason and counts', () => {
    const message = read(part({ role: 'assistant', content: '' }), part({ content: 'Hi' }), part({}, 'stop'))
    expect(message.start).toMatchObject({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'gpt-4o-2024',
      content: [],
      stop_reason: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    })
    expect(message.events.map(({ type }) => type)).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    expect(message).toMatchObject({
      stopReason: 'end_turn',
      usage: { input_tokens: 7, cache_read_input_tokens: 2, output_tokens: 5 },
    })
    expect(message.events.at(-2)).toMatchObject({ helix: { cost_usd: 0.0000015 } })
  })

  it('begins with the counts that are known then', () => {
    const usage = { prompt_tokens: 9, completion_tokens: 0, total_tokens: 9 }
    expect(read(part({ content: 'Hi' }, null, { chunk: { usage } })).start).toMatchObject({
      usage: { input_tokens: 9 },
    })
  })

  it('opens a block for each kind of content, one behind the other', () => {
    const message = read(
      part({ reasoning_content: 'H' }),
      part({ reasoning_content: 'm.' }),
      part({ content: 'So' }),
      part({ content: '.' }),
      begin(0, '{"a":'),
      fragment(0, '1}'),
      part({}, 'tool_calls'),
    )
    expect(shown(message)).toEqual([
      ['thinking', 'Hm.'],
      ['text', 'So.'],
      ['tool_use', '{"a":1}'],
    ])
    expect(message.blocks[2]?.start).toEqual({
      type: 'tool_use',
      id: 'call_0',
      name: 'tool_0',
      input: {},
      caller: { type: 'direct' },
    })
    expect(message.stopReason).toBe('tool_use')
  })

  it('signs thoughts as their vendor does, and shows those without a text', () => {
    const message = read(
      part({ reasoning_content: 'Hm.' }),
      part({ thinking_blocks: [{ type: 'thinking', thinking: 'Hm.', signature: 'sig-1' }] }),
      part({ thinking_blocks: [{ type: 'redacted_thinking', data: 'secret' }] }),
      part({ thinking_blocks: [{ type: 'thinking', thinking: '', signature: 'sig-2' }] }),
      part({ reasoning_content: 'More.' }),
      part({ content: 'So.' }, 'stop'),
    )
    expect(message.blocks.map(({ type, text, signature }) => [type, text, signature])).toEqual([
      ['thinking', 'Hm.', 'sig-1'],
      ['redacted_thinking', '', ''],
      ['thinking', '', 'sig-2'],
      ['thinking', 'More.', ''],
      ['text', 'So.', ''],
    ])
    expect(message.blocks[1]?.start).toEqual({ type: 'redacted_thinking', data: 'secret' })
  })

  it('gives a tool without arguments an empty input', () => {
    const message = read(begin(0), begin(1, '{}'), part({}, 'tool_calls'))
    expect(shown(message)).toEqual([
      ['tool_use', ''],
      ['tool_use', '{}'],
    ])
    expect(message.blocks[0]?.start).toMatchObject({ input: {} })
  })

  it('opens the second tool as soon as the input of the first is whole', () => {
    const one = writer()
    const before = [begin(0, '{"a":"}\\""'), begin(1, '{"b":')].map((each) => one.part(each)).join('')
    expect(before).not.toContain('tool_1')
    const now = messageEvents(one.part(fragment(0, '}')))
    expect(now.map(({ type, index }) => [type, index])).toEqual([
      ['content_block_delta', 0],
      ['content_block_stop', 0],
      ['content_block_start', 1],
      ['content_block_delta', 1],
    ])
  })

  it('says that it is a refusal', () => {
    const message = read(part({ refusal: 'I will' }), part({ refusal: ' not.' }), part({}, 'stop'))
    expect([shown(message), message.stopReason]).toEqual([[['text', 'I will not.']], 'refusal'])
  })

  it('ends where the money ends', () => {
    const one = writer()
    const text = one.part(part({ content: 'Hi' })) + one.end('stopped', { ...booked, estimated: true })
    const message = readMessage(text)
    expect([message.stopReason, message.end]).toEqual(['max_tokens', 'stopped'])
    expect(message.events.at(-2)).toMatchObject({ helix: { estimated: true, reason: 'budget' } })
  })

  it.each<[string, unknown, string]>([
    ['fell silent', new UpstreamError('timeout', 'secret'), 'timeout_error'],
    ['broke off', new UpstreamError('cut', 'secret'), 'api_error'],
    [
      'was overloaded',
      new UpstreamError('reported', 'secret', { status: 529, vendor: { message: 'Busy.' } }),
      'overloaded_error',
    ],
    ['was not reached', new AppError('rate_limit_exceeded', 'Too fast.'), 'rate_limit_error'],
    ['stumbled', new TypeError('secret'), 'api_error'],
  ])('ends in an error and nothing else when the vendor %s', (_how, error, type) => {
    const one = writer()
    const message = readMessage(one.part(part({ content: 'Hi' })) + one.failure(error))
    expect(message).toMatchObject({ end: 'failed', error: { type, message: expect.not.stringContaining('secret') } })
  })

  it('begins at once where its vendor is silent, and then goes on', () => {
    const one = writer()
    const text = one.opening() + one.keepAlive + one.part(part({ content: 'Hi' })) + one.end('finished', booked)
    const message = readMessage(text)
    expect(message).toMatchObject({ pings: 2, start: { id: 'msg_1', model: 'asked' }, stopReason: 'end_turn' })
  })
})

/** Fragments of several calls and of text, in any order in which each call's own are in order. */
const interleaved = fc
  .record({
    calls: fc.array(
      fc.json({ maxDepth: 2 }).map((json) => `{"value":${json}}`),
      { maxLength: 4 },
    ),
    text: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), { maxLength: 5 }),
    order: fc.array(fc.nat(), { minLength: 60, maxLength: 60 }),
    sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 20, maxLength: 20 }),
  })
  .map(({ calls, text, order, sizes }) => {
    const queues = calls.map((json, index) => callOf(index, json, sizes))
    const parts = interleave([...queues, text.map((piece) => part({ content: piece }))], order)
    return { calls, text: text.join(''), parts }
  })

describe('whatever the order of fragments', () => {
  it('every input and all text arrive whole, one block at a time', () => {
    fc.assert(
      fc.property(interleaved, ({ calls, text, parts }) => {
        const { blocks } = read(...parts, part({}, 'stop'))
        const inputs = blocks.filter(({ type }) => type === 'tool_use')
        expect(new Map(inputs.map(({ start, text: json }) => [start.id, json]))).toEqual(
          new Map(calls.map((json, index) => [`call_${index}`, json])),
        )
        expect(inputs).toHaveLength(calls.length)
        const said = blocks.filter(({ type }) => type === 'text').map((block) => block.text)
        expect(said.join('')).toBe(text)
      }),
    )
  })
})

const native = (...events: [string, object][]): StreamPart => ({
  ...part({}),
  native: events.map(([event, fields]): NativeEvent => ({ event, data: JSON.stringify({ type: event, ...fields }) })),
})
const beginning = native([
  'message_start',
  { message: { id: 'msg_theirs', model: 'claude', usage: { input_tokens: 7 } } },
])
const block = native(
  ['content_block_start', { index: 0, content_block: { type: 'server_tool_use', id: 'srv_1', name: 'search' } }],
  ['content_block_delta', { index: 0, delta: { type: 'input_json_delta', partial_json: '{}' } }],
)
const close = native(['content_block_stop', { index: 0 }])
const counts = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
const ending = {
  ...native(
    ['message_delta', { delta: { stop_reason: 'pause_turn' }, usage: { output_tokens: 3, input_tokens: null } }],
    ['message_stop', {}],
  ),
  chunk: { choices: [], usage: counts },
}

describe('a vendor’s own events', () => {
  it('are passed on as they are', () => {
    const parts = [beginning, block, native(['ping', {}]), native(['some_future_event', { a: 1 }]), close, ending]
    const expected = parts.flatMap(({ native: events = [] }) => events)
    const text = written(parts)
    expect(text).toBe(expected.map(({ event, data }) => `event: ${event}\ndata: ${data}\n\n`).join(''))
  })

  it('go on behind a beginning of ours, with the counts that theirs would have told', () => {
    const one = writer()
    const text = one.opening() + [beginning, block, close, ending].map((each) => one.part(each)).join('')
    const message = readMessage(text + one.end('finished', booked))
    expect(message).toMatchObject({
      start: { id: 'msg_1' },
      stopReason: 'pause_turn',
      usage: { input_tokens: 7, output_tokens: 3 },
    })
  })

  it('are told once where a part follows that says the same', () => {
    const usage = { ...part({}), chunk: { choices: [], usage: counts } }
    expect(written([beginning, block, close, ending, usage])).toBe(written([beginning, block, close, ending]))
  })

  it('get the end that their vendor forgot', () => {
    const { native: events = [] } = ending
    const text = written([beginning, block, close, { ...ending, native: events.slice(0, 1) }])
    expect(text).toBe(
      written([beginning, block, close, ending]).replace(/\{[^{}]*\}\n\n$/, '{"type":"message_stop"}\n\n'),
    )
  })

  it('get the names that their vendor forgot', () => {
    const unnamed = (one: StreamPart) => ({
      ...one,
      native: (one.native ?? []).map(({ data }) => ({ event: '', data })),
    })
    const parts = [beginning, block, close, ending]
    expect(written(parts.map(unnamed))).toBe(written(parts))
  })

  it('are closed properly where the money ends', () => {
    const one = writer()
    const message = readMessage(one.part(beginning) + one.part(block) + one.end('stopped', booked))
    expect([message.stopReason, message.blocks.length]).toEqual(['max_tokens', 1])
  })
})
