import { describe, expect, it } from 'vitest'
import type { StreamPart } from '../../../src/core/models.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import {
  anthropicDecoder,
  apiKey,
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

const usageOf = (parts: readonly StreamPart[]) => parts.flatMap(({ chunk }) => chunk.usage ?? [])

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

  it('has in it what the vendor billed for shortening the conversation, and left out of its sums', () => {
    const compaction = {
      type: 'compaction',
      input_tokens: 180_000,
      cache_read_input_tokens: 10,
      cache_creation_input_tokens: 20,
      cache_creation: { ephemeral_5m_input_tokens: 15, ephemeral_1h_input_tokens: 5 },
      output_tokens: 3500,
    }
    const message = { type: 'message', input_tokens: 23_000, output_tokens: 1000 }
    const iterations = [compaction, message]
    const first = { input_tokens: 23_000, output_tokens: 1, iterations: [compaction] }
    expect(usageAfter(first, { input_tokens: 23_000, output_tokens: 1000, iterations })).toMatchObject([
      {
        prompt_tokens: 203_030,
        completion_tokens: 4500,
        prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 20, cache_write_1h_tokens: 5 },
      },
    ])
  })

  it('of parts that together are more than any call can have is none', () => {
    const most = { input_tokens: 1e9, cache_read_input_tokens: 1e9 }
    expect(usageAfter(most, { output_tokens: 1 })).toEqual([])
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
