import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type StreamPart, UpstreamError } from '../../../src/core/models.ts'
import { countsOf } from '../../../src/core/usage.ts'
import { count } from '../../support/lane.ts'
import { type RecordedStream, recordedStreams } from '../../support/streams.ts'
import { decode, decoderOf, textOf } from './support.ts'

const streams = recordedStreams()

/** Where to cut a stream: at every byte, or at bytes that are spread over it, its first and its last among them. */
function placesIn(bytes: Uint8Array, first: number): number[] {
  const step = Math.max(1, Math.floor(bytes.length / count(120, Number.POSITIVE_INFINITY)))
  const places = Array.from({ length: Math.ceil((bytes.length - first) / step) }, (_, index) => first + index * step)
  return [...new Set([...places, bytes.length - 1])]
}

/** Synthesised ids are random; here they must compare. */
beforeEach(() => {
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const whole = (stream: RecordedStream) => decode(decoderOf(stream.kind), [stream.bytes])

const textsOf = (parts: readonly StreamPart[]) => parts.map((part) => part.json)

function toolCallsOf(parts: readonly StreamPart[]): [string, string][] {
  const calls: [string, string][] = []
  for (const { chunk } of parts) {
    for (const fragment of chunk.choices[0]?.delta.tool_calls ?? []) {
      const call = calls[fragment.index] ?? ['', '']
      calls[fragment.index] = [
        call[0] + (fragment.function?.name ?? ''),
        call[1] + (fragment.function?.arguments ?? ''),
      ]
    }
  }
  return calls
}

function finishOf(parts: readonly StreamPart[]): Record<string, string> {
  const finish: Record<string, string> = {}
  for (const choice of parts.flatMap((part) => part.chunk.choices)) {
    if (choice.finish_reason === null || choice.finish_reason === undefined) continue
    expect(finish[choice.index], 'a choice finishes once').toBeUndefined()
    finish[choice.index] = choice.finish_reason
  }
  return finish
}

function usageOf(parts: readonly StreamPart[]): number[] | null {
  const last = parts.map((part) => part.chunk.usage).findLast((usage) => usage)
  if (!last) return null
  const { prompt, cached, completion, reasoning } = countsOf(last)
  return [prompt, cached, completion, reasoning]
}

describe.each(streams)('$name', (stream) => {
  it('comes to the text, reasoning, tool calls, finish reasons and usage that were sent', () => {
    const { parts, failure } = whole(stream)
    expect(failure).toBeUndefined()
    const deltas = parts.flatMap((part) => part.chunk.choices.map((choice) => choice.delta))
    expect(textOf(parts)).toBe(stream.text)
    expect(deltas.map((delta) => delta.reasoning_content ?? '').join('')).toBe(stream.reasoning)
    expect(toolCallsOf(parts)).toEqual(stream.toolCalls)
    expect(finishOf(parts)).toEqual(stream.finish)
    expect(usageOf(parts)).toEqual(stream.usage)
  })

  it('keeps the rules of the wire that clients rely on', () => {
    const { parts } = whole(stream)
    const heads = new Set(
      parts.map(({ chunk }) => JSON.stringify([chunk.id, chunk.created, chunk.model, chunk.object])),
    )
    expect(heads.size).toBe(1)
    const roles = new Map<number, unknown>()
    const calls = new Set<string>()
    for (const choice of parts.flatMap((part) => part.chunk.choices)) {
      if (!roles.has(choice.index)) roles.set(choice.index, choice.delta.role)
      for (const fragment of choice.delta.tool_calls ?? []) {
        const key = `${choice.index}:${fragment.index}`
        const head = { id: expect.stringMatching(/./), type: 'function' }
        if (calls.has(key)) expect(Object.keys(fragment).sort()).toEqual(['function', 'index'])
        else expect(fragment).toMatchObject({ ...head, function: { name: expect.stringMatching(/./) } })
        calls.add(key)
      }
    }
    expect([...new Set(roles.values())]).toEqual(['assistant'])
    for (const part of parts) expect(JSON.parse(part.json)).toEqual(part.chunk)
  })

  it('gives the same parts for every split of its bytes in two', () => {
    const expected = textsOf(whole(stream).parts)
    for (const at of placesIn(stream.bytes, 1)) {
      const pieces = [stream.bytes.subarray(0, at), stream.bytes.subarray(at)]
      const { parts, failure } = decode(decoderOf(stream.kind), pieces)
      if (failure !== undefined) expect.fail(`split at ${at}: ${String(failure)}`)
      if (textsOf(parts).join('\n') !== expected.join('\n')) expect(textsOf(parts), `split at ${at}`).toEqual(expected)
    }
  })

  it('gives the same parts byte by byte', () => {
    const bytes = Array.from(stream.bytes, (byte) => Uint8Array.of(byte))
    expect(textsOf(decode(decoderOf(stream.kind), bytes).parts)).toEqual(textsOf(whole(stream).parts))
  })

  it('gives the same parts for random pieces', () => {
    const expected = textsOf(whole(stream).parts)
    const cuts = fc.array(fc.nat(stream.bytes.length), { maxLength: 40 })
    fc.assert(
      fc.property(cuts, (places) => {
        const edges = [0, ...places.sort((left, right) => left - right), stream.bytes.length]
        const pieces = edges.slice(1).map((edge, position) => stream.bytes.subarray(edges[position], edge))
        expect(textsOf(decode(decoderOf(stream.kind), pieces).parts)).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  })

  it('cut at any byte ends in an error, or cleanly once every choice has finished', () => {
    const all = textsOf(whole(stream).parts)
    for (const at of placesIn(stream.bytes, 0)) {
      const { parts, failure } = decode(decoderOf(stream.kind), [stream.bytes.subarray(0, at)])
      const isPrefix = textsOf(parts).every((text, position) => text === all[position])
      expect(isPrefix, `parts of a cut at ${at}`).toBe(true)
      expect(stream.text.startsWith(textOf(parts)), `text cut at ${at}`).toBe(true)
      if (failure === undefined) expect(Object.keys(finishOf(parts)), `cut at ${at}`).toEqual(finishedChoices(parts))
      else expect(failure, `cut at ${at}`).toBeInstanceOf(UpstreamError)
    }
  })
})

/** The choices seen so far: a clean end must have a finish reason for each, and there must be one. */
function finishedChoices(parts: readonly StreamPart[]): string[] {
  const seen = new Set(parts.flatMap((part) => part.chunk.choices.map((choice) => String(choice.index))))
  expect(seen.size).toBeGreaterThan(0)
  return [...seen].sort()
}

it('passes on the text of a well-behaved vendor unchanged', () => {
  const stream = streams.find(({ name }) => name.startsWith('01-'))
  const lines = new TextDecoder().decode(stream?.bytes).split('\n')
  const sent = lines.filter((line) => line.startsWith('data: {')).map((line) => line.slice('data: '.length))
  expect(stream && textsOf(whole(stream).parts)).toEqual(sent)
})

it('has at least twenty streams of vendors and six of a node', () => {
  expect(streams.filter(({ kind }) => kind === 'openai').length).toBeGreaterThanOrEqual(20)
  expect(streams.filter(({ kind }) => kind === 'ollama').length).toBeGreaterThanOrEqual(6)
})
