import fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { TestGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { type ResponseStream, readResponse, saidIn } from '../../support/response-events.ts'
import { type BodyEnd, scriptedBody } from '../../support/scripted-body.ts'
import { type RecordedStream, recordedStreams } from '../../support/streams.ts'
import { modelOf, startForStreams } from '../completions/streams.ts'

const seed = 20_261_121
const splits = count(3, 400)
const cuts = count(4, 1000)
/** Of the smallest pieces in which all of a stream arrives. */
const pieceBytes = count(5, 1)

let gateway: TestGateway

beforeAll(async () => {
  // Calls that their vendor gives no id get one of ours.
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  gateway = await startForStreams()
  return () => vi.restoreAllMocks()
})

/** The text of the events that a client gets for these bytes; undefined where it gets an error before any. */
async function deliver(stream: RecordedStream, pieces: Iterable<Uint8Array>, end: BodyEnd = 'eof') {
  const type = stream.kind === 'ollama' ? 'application/x-ndjson' : 'text/event-stream'
  gateway.upstream(({ signal }) => scriptedBody(pieces, { end, type, signal }).response)
  gateway.heal()
  const response = await gateway.call('/v1/responses', {
    model: modelOf(stream),
    input: 'Hi',
    store: false,
    stream: true,
  })
  const text = await response.text()
  if (response.status === 200) return text
  expect(JSON.parse(text)).toMatchObject({ error: { message: expect.any(String) } })
  return undefined
}

async function read(stream: RecordedStream, pieces: Iterable<Uint8Array>): Promise<ResponseStream> {
  const text = await deliver(stream, pieces)
  if (text === undefined) throw new Error('an error in place of a stream')
  return readResponse(text)
}

/** Without what is new in each call: ids and times. */
const shapeOf = ({ items, end, final: { usage, error } }: ResponseStream) =>
  JSON.stringify([items, end, usage, error]).replaceAll(/_[0-9a-z]{26}_/g, '_')

const ends: Readonly<Record<string, string>> = {
  stop: 'completed',
  tool_calls: 'completed',
  length: 'incomplete',
  content_filter: 'incomplete',
}

const ofOneChoice = recordedStreams().filter(({ finish }) => Object.keys(finish).length === 1)

describe.each(ofOneChoice)('$name', (stream) => {
  const { bytes } = stream

  it('arrives as a response with its text, its thoughts, its tools and its counts', async () => {
    const response = await read(stream, [bytes])
    expect(response.end).toBe(ends[stream.finish[0] ?? ''])
    if (!stream.name.includes('refusal')) expect(saidIn(response.items, 'output_text')).toBe(stream.text)
    expect(saidIn(response.items, 'summary_text')).toBe(stream.reasoning)
    const tools = response.items.filter(({ type }) => type === 'function_call')
    expect(tools.map((call) => [call.name, JSON.parse(String(call.arguments))])).toEqual(
      stream.toolCalls.map(([name, json]) => [name, JSON.parse(json)]),
    )
    if (!stream.usage) return
    const [input, cached, output, reasoning] = stream.usage
    expect(response.final.usage).toMatchObject({
      input_tokens: input,
      input_tokens_details: { cached_tokens: cached },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: reasoning },
      total_tokens: input + output,
    })
  })

  it('is the same however its bytes arrive', async () => {
    const whole = shapeOf(await read(stream, [bytes]))
    const small = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
      bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
    )
    expect(shapeOf(await read(stream, small))).toBe(whole)
    for (const place of fc.sample(fc.nat(bytes.length), { numRuns: splits, seed })) {
      const halves = [bytes.subarray(0, place), bytes.subarray(place)].filter(({ length }) => length > 0)
      expect(shapeOf(await read(stream, halves))).toBe(whole)
    }
  })

  it.each(['eof', 'reset'] as const)('cut anywhere (%s) keeps the grammar to its end', async (end) => {
    for (const place of fc.sample(fc.nat(bytes.length - 1), { numRuns: cuts, seed })) {
      const text = await deliver(stream, [bytes.subarray(0, place)], end)
      if (text === undefined) continue
      const said = saidIn(readResponse(text).items, 'output_text')
      if (!stream.text.startsWith(said)) throw new Error(`cut at ${place}: ${said}`)
    }
  })
})
