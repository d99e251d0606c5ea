import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { geminiCompletion } from '../../../src/adapters/providers/gemini-answer.ts'
import { geminiChatRequest } from '../../../src/adapters/providers/gemini-request.ts'
import { objectsOf } from '../../../src/adapters/providers/json-shape.ts'
import type { StreamPart } from '../../../src/core/models.ts'
import { count } from '../../support/lane.ts'
import { callOf, decode, decoderOf } from './support.ts'

const numRuns = count(100, 2000)
const seed = 20_261_121

const words = fc.string({ unit: 'grapheme', maxLength: 12 })
const signature = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64'))
const args = fc.dictionary(words, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
const call = fc.record({ name: fc.constantFrom('look', 'find-it', 'a.b'), args })

const thoughtPart = words.map((text) => ({ text, thought: true }))
const textPart = words.map((text) => ({ text }))
const callPart = call.map((functionCall) => ({ functionCall }))
const part = fc.oneof(thoughtPart, textPart, callPart)
const events = fc.array(fc.array(part, { maxLength: 3 }), { minLength: 1, maxLength: 6 })

type Part = { text?: string; thought?: boolean; functionCall?: { name: string; args: unknown } }

const responseOf = (parts: readonly Part[], last: boolean, counted: number) => ({
  candidates: [{ content: { parts, role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}), index: 0 }],
  usageMetadata: { promptTokenCount: 7, candidatesTokenCount: counted },
})

function writtenIn(parts: readonly Part[]) {
  const texts = (thought: boolean) =>
    parts.flatMap((each) => (each.functionCall || Boolean(each.thought) !== thought ? [] : (each.text ?? ''))).join('')
  const calls = parts.flatMap(({ functionCall }) =>
    functionCall ? [{ name: functionCall.name, arguments: JSON.stringify(functionCall.args) }] : [],
  )
  return { text: texts(false), thoughts: texts(true), calls }
}

function readIn(parts: readonly StreamPart[]) {
  const deltas = parts.flatMap(({ chunk }) => chunk.choices.map(({ delta }) => delta))
  return {
    text: deltas.map(({ content }) => content ?? '').join(''),
    thoughts: deltas.map(({ reasoning_content: thoughts }) => thoughts ?? '').join(''),
    calls: deltas.flatMap(({ tool_calls: calls }) => calls ?? []).map(({ function: called }) => called),
  }
}

describe('whatever Gemini writes', () => {
  it('reaches the client in full, with one end and one count, however its bytes are cut', () => {
    const cuts = fc.array(fc.nat(4000), { maxLength: 12 })
    fc.assert(
      fc.property(events, cuts, (given, places) => {
        const text = given.map(
          (parts, at) => `data: ${JSON.stringify(responseOf(parts, at === given.length - 1, at))}\r\n\r\n`,
        )
        const bytes = new TextEncoder().encode(text.join(''))
        const edges = [0, ...places.map((place) => Math.min(place, bytes.length)), bytes.length].sort((a, b) => a - b)
        const pieces = edges.slice(1).map((edge, at) => bytes.subarray(edges[at], edge))
        const { parts, failure } = decode(decoderOf('gemini'), pieces)
        const written = writtenIn(given.flat())
        expect(failure).toBeUndefined()
        expect(readIn(parts)).toEqual(written)
        const ends = parts.flatMap(({ chunk }) => chunk.choices.flatMap(({ finish_reason: reason }) => reason ?? []))
        expect(ends).toEqual([written.calls.length > 0 ? 'tool_calls' : 'stop'])
        const counts = parts.flatMap(({ chunk }) => (chunk.usage ? [chunk.usage.completion_tokens] : []))
        expect(counts).toEqual([given.length - 1])
      }),
      { numRuns, seed },
    )
  })

  it('goes back as it came, once it has been a message in OpenAI’s shape', () => {
    const spoken = fc.record({ text: words.filter((text) => text !== ''), thoughtSignature: signature })
    const called = fc.record({ first: call, thoughtSignature: signature, others: fc.array(call, { maxLength: 2 }) })
    fc.assert(
      fc.property(fc.option(spoken, { nil: undefined }), called, (said, { first, thoughtSignature, others }) => {
        const calls = [first, ...others].map((each, position) => ({ id: `id-${position}`, ...each }))
        const parts = [
          ...(said ? [said] : []),
          ...calls.map((functionCall, at) => ({ functionCall, ...(at === 0 ? { thoughtSignature } : {}) })),
        ]
        const source = { upstream: { name: 'gemini', secret: undefined }, model: 'm' }
        const [choice] = geminiCompletion(responseOf(parts, true, 1), source).choices
        const message = JSON.parse(JSON.stringify(choice?.message))
        const messages = [{ role: 'user', content: 'Hi' }, message]
        const { body } = geminiChatRequest(callOf({ messages }, { model: 'gemini-3-flash-preview' }))
        expect(objectsOf(body.contents)[1]).toEqual(JSON.parse(JSON.stringify({ role: 'model', parts })))
      }),
      { numRuns, seed },
    )
  })
})
