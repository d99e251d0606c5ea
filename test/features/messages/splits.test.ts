import fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { TestGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { type MessageStream, readMessage } from '../../support/message-events.ts'
import { type BodyEnd, scriptedBody } from '../../support/scripted-body.ts'
import { type RecordedStream, recordedStreams } from '../../support/streams.ts'
import { modelOf, startForStreams } from '../completions/streams.ts'

const seed = 20_261_121
const splits = count(3, 400)
const cuts = count(6, 1000)

let gateway: TestGateway

beforeAll(async () => {
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  gateway = await startForStreams()
  return () => vi.restoreAllMocks()
})

/** The text of the events that a client gets for these bytes; undefined where it gets an error before any. */
async function deliver(stream: RecordedStream, pieces: Iterable<Uint8Array>, end: BodyEnd = 'eof') {
  const type = stream.kind === 'ollama' ? 'application/x-ndjson' : 'text/event-stream'
  gateway.upstream(({ signal }) => scriptedBody(pieces, { end, type, signal }).response)
  gateway.heal()
  const messages = [{ role: 'user', content: 'Hi' }]
  const body = { model: modelOf(stream), max_tokens: 100, messages, stream: true }
  const response = await gateway.call('/v1/messages', body)
  const text = await response.text()
  if (response.status === 200) return text
  expect(JSON.parse(text)).toMatchObject({ type: 'error', error: { message: expect.any(String) } })
  return undefined
}

async function read(stream: RecordedStream, pieces: Iterable<Uint8Array>): Promise<MessageStream> {
  const text = await deliver(stream, pieces)
  if (text === undefined) throw new Error('an error in place of a stream')
  return readMessage(text)
}

const said = ({ blocks }: MessageStream, type: string): string =>
  blocks.flatMap((block) => (block.type === type ? [block.text] : [])).join('')

/** Without what is new in each call: the message's id and the cost. */
const shapeOf = ({ start, blocks, stopReason, usage }: MessageStream) =>
  JSON.stringify([{ ...start, id: '' }, blocks, stopReason, usage])

const reasons: Readonly<Record<string, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
}

const ofOneChoice = recordedStreams().filter(({ finish }) => Object.keys(finish).length === 1)

describe.each(ofOneChoice)('$name', (stream) => {
  const { bytes } = stream

  it('arrives as a message with its text, its thoughts, its tools and its counts', async () => {
    const message = await read(stream, [bytes])
    if (stream.name.includes('refusal')) expect(message.stopReason).toBe('refusal')
    else {
      expect(said(message, 'text')).toBe(stream.text)
      expect(message.stopReason).toBe(reasons[stream.finish[0] ?? ''])
    }
    expect(said(message, 'thinking')).toBe(stream.reasoning)
    const tools = message.blocks.filter(({ type }) => type === 'tool_use')
    expect(tools.map(({ start, text }) => [start.name, JSON.parse(text || '{}')])).toEqual(
      stream.toolCalls.map(([name, json]) => [name, JSON.parse(json)]),
    )
    if (!stream.usage) return
    const [prompt, cached, completion] = stream.usage
    expect(message.usage).toMatchObject({
      input_tokens: prompt - cached,
      cache_read_input_tokens: cached,
      output_tokens: completion,
    })
  })

  it('is the same however its bytes arrive', async () => {
    const whole = shapeOf(await read(stream, [bytes]))
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
    expect(shapeOf(await read(stream, single))).toBe(whole)
    const places = fc.sample(fc.nat(bytes.length), { numRuns: splits, seed })
    for (const place of places) {
      const halves = [bytes.subarray(0, place), bytes.subarray(place)].filter(({ length }) => length > 0)
      expect(shapeOf(await read(stream, halves))).toBe(whole)
    }
  })

  it.each(['eof', 'reset'] as const)('cut anywhere (%s) ends as a message or in an error', async (end) => {
    for (const place of fc.sample(fc.nat(bytes.length - 1), { numRuns: cuts, seed })) {
      const text = await deliver(stream, [bytes.subarray(0, place)], end)
      if (text === undefined) continue
      const message = readMessage(text)
      const isPrefix = stream.text.startsWith(said(message, 'text')) || message.stopReason === 'refusal'
      if (!isPrefix && !stream.name.includes('refusal')) throw new Error(`cut at ${place}: ${said(message, 'text')}`)
      if (message.end === 'stopped') expect(reasons).toHaveProperty(stream.finish[0] ?? '')
    }
  })
})
