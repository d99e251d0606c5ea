import { describe, expect, it } from 'vitest'
import type { ChatChunk } from '../../../src/core/models.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import { apiKey, chunkEvent, chunkOf, decode, decoderOf, textOf } from './support.ts'

const run = (text: string) => decode(decoderOf('openai'), [new TextEncoder().encode(text)])

const chunksOf = (...chunks: Record<string, unknown>[]): ChatChunk[] =>
  run(`${chunks.map(chunkEvent).join('')}data: [DONE]\n\n`).parts.map((part) => part.chunk)

function failureOf(text: string): { failure: UpstreamError; text: string } {
  const { parts, failure } = run(text)
  if (!(failure instanceof UpstreamError)) throw new Error(`no failure but ${String(failure)}`)
  return { failure, text: textOf(parts) }
}

describe('a vendor’s chunks', () => {
  it('get an id, time and model when the vendor gives none', () => {
    const [first, second] = chunksOf(
      { choices: [{ delta: { content: 'a' } }] },
      { choices: [{ delta: {}, finish_reason: 'stop' }] },
    )
    expect(first).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-\w+$/),
      model: 'asked',
      created: expect.any(Number),
    })
    expect(second).toMatchObject({ id: first?.id, created: first?.created, object: 'chat.completion.chunk' })
  })

  it('are dropped when they say nothing', () => {
    const silent = [{ type: 'ping' }, { ...chunkOf({}), choices: [] }, { ...chunkOf({}), choices: [], usage: null }]
    expect(chunksOf(...silent, chunkOf({ content: 'a' }))).toHaveLength(1)
  })

  it('keep a usage chunk that has no choices at all', () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
    expect(chunksOf(chunkOf({ content: 'a' }), { id: 'x', usage }).at(-1)).toMatchObject({ choices: [], usage })
  })

  it('finish each choice once, and never with an empty reason', () => {
    const chunks = chunksOf({ ...chunkOf({ content: 'a' }, '') }, chunkOf({}, 'stop'), chunkOf({}, 'stop'))
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason)).toEqual([null, 'stop', null])
  })

  it('lose what is no text where text belongs, and keep a number', () => {
    const junk = { content: { toString: 1 }, refusal: true, reasoning_content: ['a'], reasoning: { a: 1 } }
    const [first, second] = chunksOf(chunkOf({ ...junk }), chunkOf({ content: 5 }))
    expect(first?.choices[0]?.delta).toMatchObject({ content: null, refusal: null })
    expect(first?.choices[0]?.delta.reasoning_content ?? null).toBeNull()
    expect(second?.choices[0]?.delta.content).toBe('5')
  })

  it.each([7, true, {}, ['stop']])('do not finish with the reason %j', (reason) => {
    const odd = {
      ...chunkOf({ content: 'a' }),
      choices: [{ index: 0, delta: { content: 'a' }, finish_reason: reason }],
    }
    const chunks = chunksOf(odd, chunkOf({}, 'stop'))
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason)).toEqual([null, 'stop'])
  })

  it('lose tool fragments that are none', () => {
    const call = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }
    const { parts } = run(
      `${[[null, call, 3], [null], 'x', { a: 1 }].map((tool_calls) => chunkEvent(chunkOf({ tool_calls }))).join('')}data: [DONE]\n\n`,
    )
    const deltas = parts.map(({ chunk }) => chunk.choices[0]?.delta)
    expect(deltas.map((delta) => delta?.tool_calls)).toEqual([[call], undefined, undefined, undefined])
    expect(JSON.parse(parts[0]?.json ?? '')).toEqual(parts[0]?.chunk)
  })

  it('keep unknown fields', () => {
    const [chunk] = chunksOf({
      ...chunkOf({ content: 'a', annotations: [1] }),
      id: 'i',
      x_groq: { id: 'r' },
      obfuscation: 'zz',
    })
    expect(chunk).toMatchObject({ x_groq: { id: 'r' }, obfuscation: 'zz', choices: [{ delta: { annotations: [1] } }] })
  })

  it('have tool fragments that find their call without an index', () => {
    const fragment = (fields: Record<string, unknown>) => chunkOf({ tool_calls: [fields] })
    const chunks = chunksOf(
      fragment({ function: { name: 'a', arguments: { x: 1 } } }),
      fragment({ id: 'b1', function: { name: 'b' } }),
      fragment({ function: { arguments: '{' } }),
      fragment({ function: { arguments: '}' } }),
    )
    const fragments = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])
    expect(fragments).toEqual([
      {
        id: expect.stringMatching(/^call_/),
        type: 'function',
        index: 0,
        function: { name: 'a', arguments: '{"x":1}' },
      },
      { id: 'b1', type: 'function', index: 1, function: { name: 'b', arguments: '' } },
      { index: 1, function: { arguments: '{' } },
      { index: 1, function: { arguments: '}' } },
    ])
  })
})

describe('the end of a vendor’s stream', () => {
  const content = chunkEvent(chunkOf({ content: 'Hi' }))

  it('is clean with [DONE], whatever follows', () => {
    const { parts, failure } = run(`${content}data: [DONE]\n\ndata: {broken\n\n`)
    expect([textOf(parts), failure]).toEqual(['Hi', undefined])
  })

  it('is a cut when a choice has not finished', () => {
    expect(failureOf(content)).toMatchObject({ failure: { fault: 'cut' }, text: 'Hi' })
    expect(failureOf(': waiting\n\n').failure.fault).toBe('cut')
  })

  it('is garbage when there was no event at all', () => {
    expect(failureOf('').failure.fault).toBe('garbage')
    expect(failureOf('<html><body>Login</body></html>').failure.fault).toBe('garbage')
  })

  it('is garbage at malformed JSON, after the parts that came before', () => {
    for (const bad of ['data: {"choices":[\n\n', 'data: 42\n\n', 'data: hello\n\n']) {
      expect(failureOf(content + bad)).toMatchObject({ failure: { fault: 'garbage' }, text: 'Hi' })
    }
  })

  it.each([
    ['an error object', 'data: {"error":{"message":"Overloaded","type":"overloaded","code":529}}\n\n', 'Overloaded'],
    ['an error text', 'data: {"error":"out of memory"}\n\n', 'out of memory'],
    ['an error event', 'event: error\ndata: {"message":"Rate limited"}\n\n', 'Rate limited'],
    [
      'OpenRouter’s chunk',
      chunkEvent({ ...chunkOf({ content: '' }, 'error'), error: { code: 502, message: 'Provider disconnected' } }),
      'Provider disconnected',
    ],
    ['a key in an error', `data: {"error":{"message":"bad key ${apiKey}"}}\n\n`, 'bad key [redacted]'],
  ])('is reported by %s', (_name, event, message) => {
    const { failure, text } = failureOf(content + event)
    expect(failure).toMatchObject({ fault: 'reported', vendor: { message } })
    expect(text).toBe('Hi')
  })

  it('is reported by a finish reason of error alone', () => {
    expect(failureOf(content + chunkEvent(chunkOf({}, 'error'))).failure.fault).toBe('reported')
  })
})
