import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Wire } from '../../src/core/models.ts'
import { cutBy } from './fixtures/pieces.ts'
import { scribes } from './fixtures/scribes.ts'
import { breakIn, refusalIn } from './refusal.ts'
import type { Pair } from './replay.ts'
import { surfaces } from './surfaces/all.ts'
import type { Heard } from './surfaces/surface.ts'
import { type End, type Truth, wires } from './truth.ts'
import { models, startWorld, typeOf, type World } from './world.ts'

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  world = await startWorld()
})

const truth: Truth = { name: 'x', said: [{ kind: 'text', text: 'So far' }], end: 'stop', counts: undefined }

/** Where a vendor says its reason, with the reason that the fixture has. */
const saying: Readonly<Record<Wire, string>> = {
  openai: '"finish_reason":"stop"',
  anthropic: '"stop_reason":"end_turn"',
  gemini: '"finishReason":"STOP"',
  ollama: '"done_reason":"stop"',
}

const withReason = (wire: Wire, text: string, reason: string): string =>
  text.replace(saying[wire], saying[wire].replace(/"[^"]*"$/, JSON.stringify(reason)))

/** Every reason that vendors name, and what it comes to; a model that went wrong has not answered. */
const reasons: Readonly<Record<Wire, Readonly<Record<string, End | 'failed'>>>> = {
  openai: { stop: 'stop', length: 'length', content_filter: 'content_filter', error: 'failed' },
  anthropic: {
    end_turn: 'stop',
    stop_sequence: 'stop',
    pause_turn: 'stop',
    max_tokens: 'length',
    model_context_window_exceeded: 'length',
    refusal: 'content_filter',
    some_day: 'stop',
  },
  gemini: {
    STOP: 'stop',
    MAX_TOKENS: 'length',
    SAFETY: 'content_filter',
    RECITATION: 'content_filter',
    LANGUAGE: 'content_filter',
    BLOCKLIST: 'content_filter',
    PROHIBITED_CONTENT: 'content_filter',
    SPII: 'content_filter',
    IMAGE_SAFETY: 'content_filter',
    IMAGE_PROHIBITED_CONTENT: 'content_filter',
    IMAGE_RECITATION: 'content_filter',
    MALFORMED_FUNCTION_CALL: 'failed',
    UNEXPECTED_TOOL_CALL: 'failed',
    TOO_MANY_TOOL_CALLS: 'failed',
    OTHER: 'failed',
    SOME_DAY: 'stop',
  },
  ollama: { stop: 'stop', length: 'length', load: 'stop', unload: 'stop' },
}

async function answered({ surface, wire }: Pair, isStream: boolean, body: string) {
  const model = models[wire]
  const response = await world.ask(
    surface,
    isStream ? surface.streamed(model) : surface.request(model),
    () => new Response(body, { headers: { 'content-type': typeOf(wire, isStream) } }),
  )
  const { status } = response
  const text = await response.text()
  const heard = (): Heard => (isStream ? surface.stream(text) : surface.whole(JSON.parse(text)))
  const refusal = () => (status === 200 ? breakIn(surface, text) : refusalIn(surface, { status, text }))
  return { heard, refusal }
}

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))

describe.each(pairs)('$name over $wire', (pair) => {
  const { surface, wire } = pair
  const forms = [
    { isStream: false, body: JSON.stringify(scribes[wire].whole(truth)) },
    { isStream: true, body: scribes[wire].stream(truth, cutBy(3)) },
  ]

  it.each(Object.entries(reasons[wire]))('that ends because of %s: %s', async (native, end) => {
    for (const { isStream, body } of forms) {
      const answer = await answered(pair, isStream, withReason(wire, body, native))
      if (end === 'failed') {
        expect(answer.refusal().message).toMatch(/./)
        continue
      }
      const heard = answer.heard()
      expect(heard.text).toBe('So far')
      // Anthropic's own reasons are its clients' own.
      const isOwn = surface.name === 'messages' && wire === 'anthropic'
      expect(heard.end).toBe(isOwn ? native : surface.expected({ ...truth, end }, wire).end)
    }
  })

  it('that has not begun is no answer', async () => {
    const nothing = {
      openai: '{"choices":[]}',
      anthropic: '{"type":"message"}',
      gemini: '{"candidates":[]}',
      ollama: '{"done":true}',
    }
    const answer = await answered(pair, false, nothing[wire])
    expect(answer.refusal().message).toMatch(/./)
  })
})

describe.each(surfaces)('$name over gemini', (surface) => {
  it.each(['SAFETY', 'OTHER', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'IMAGE_SAFETY'])(
    'ends by a filter when a prompt is blocked: %s',
    async (blockReason) => {
      const body = JSON.stringify({ promptFeedback: { blockReason }, usageMetadata: { promptTokenCount: 9 } })
      const pair: Pair = { surface, wire: 'gemini' }
      const expected = surface.expected({ ...truth, said: [], end: 'content_filter' }, 'gemini')
      for (const isStream of [false, true]) {
        const answer = await answered(pair, isStream, isStream ? `data: ${body}\n\n` : body)
        expect(answer.heard()).toMatchObject({ text: '', end: expected.end })
      }
    },
  )
})

describe.each(surfaces)('$name', (surface) => {
  it.each(['openai', 'anthropic'] as const)('has a call as far as it came when %s cuts it by length', async (wire) => {
    const whole = '{"city":"Paris","words":"a \\"b\\""}'
    const call = { kind: 'call', id: 'call_1', name: 'look', json: whole } as const
    const cut = (text: string) => [text.slice(0, 25)]
    const stream = scribes[wire].stream({ ...truth, said: [call], end: 'length' }, cut)
    const response = await world.ask(
      surface,
      surface.streamed(models[wire]),
      () => new Response(stream, { headers: { 'content-type': typeOf(wire, true) } }),
    )
    const text = await response.text()
    expect(text).not.toMatch(/"error":\{|event: error/)
    if (surface.name !== 'text') expect(fragmentsIn(text)).toContain(whole.slice(0, 25))
  })
})

/** Everything in a stream that is text of arguments, in order. */
function fragmentsIn(text: string): string {
  const fragments = text.matchAll(/"(?:arguments|partial_json|delta)":("(?:[^"\\]|\\.)*")/g)
  return [...fragments].map(([, json = '""']) => String(JSON.parse(json))).join('')
}
