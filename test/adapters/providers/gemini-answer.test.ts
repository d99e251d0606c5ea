import { describe, expect, it } from 'vitest'
import { geminiCompletion } from '../../../src/adapters/providers/gemini-answer.ts'
import type { JsonObject } from '../../../src/adapters/providers/json-shape.ts'
import { countsOf } from '../../../src/core/usage.ts'
import { decode, decoderOf, textOf } from './support.ts'

const source = { upstream: { name: 'gemini', secret: undefined }, model: 'asked' }
const candidate = (parts: JsonObject[], extra: JsonObject = {}) => ({
  content: { parts, role: 'model' },
  finishReason: 'STOP',
  index: 0,
  ...extra,
})
const answerOf = (...candidates: JsonObject[]) => ({ candidates, modelVersion: 'gemini-x', responseId: 'r1' })
const whole = (parsed: unknown) => geminiCompletion(parsed, source)
const choiceOf = (parsed: unknown) => whole(parsed).choices[0]

const sse = (...events: unknown[]) => {
  const text = events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\r\n\r\n`)
  return decode(decoderOf('gemini'), [new TextEncoder().encode(text.join(''))])
}
const endsOf = ({ parts }: ReturnType<typeof sse>) =>
  parts.flatMap(({ chunk }) => chunk.choices.flatMap(({ finish_reason }) => finish_reason ?? []))

describe('a whole answer of Gemini', () => {
  it('comes back in OpenAI’s shape', () => {
    const signed = { thoughtSignature: 'c2ln' }
    const parsed = {
      ...answerOf(
        candidate([
          { text: 'Hmm.', thought: true },
          { text: 'Both ' },
          { text: 'cities.', ...signed },
          { functionCall: { id: 'f1', name: 'f', args: { a: [1] } }, thoughtSignature: 'Y2FsbA==' },
          { functionCall: { name: 'g' } },
          { executableCode: { code: '1' } },
        ]),
      ),
      usageMetadata: {
        promptTokenCount: 10,
        toolUsePromptTokenCount: 2,
        cachedContentTokenCount: 4,
        candidatesTokenCount: 5,
        thoughtsTokenCount: 7,
        totalTokenCount: 24,
      },
    }
    const completion = whole(parsed)
    expect(completion).toEqual({
      id: 'r1',
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'gemini-x',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Both cities.',
            reasoning_content: 'Hmm.',
            extra_content: { google: { thought_signature: 'c2ln' } },
            tool_calls: [
              {
                id: 'f1',
                type: 'function',
                function: { name: 'f', arguments: '{"a":[1]}' },
                extra_content: { google: { thought_signature: 'Y2FsbA==' } },
              },
              { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'g', arguments: '{}' } },
            ],
          },
          logprobs: null,
          finish_reason: 'tool_calls',
          native_finish_reason: 'STOP',
        },
      ],
      usage: {
        prompt_tokens: 12,
        completion_tokens: 12,
        total_tokens: 24,
        prompt_tokens_details: { cached_tokens: 4 },
        completion_tokens_details: { reasoning_tokens: 7 },
      },
    })
    const usage = completion.usage && countsOf(completion.usage)
    expect(usage).toEqual({ prompt: 12, cached: 4, cacheWrite: 0, completion: 12, reasoning: 7 })
  })

  it.each([
    ['STOP', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['SAFETY', 'content_filter'],
    ['RECITATION', 'content_filter'],
    ['LANGUAGE', 'content_filter'],
    ['BLOCKLIST', 'content_filter'],
    ['PROHIBITED_CONTENT', 'content_filter'],
    ['SPII', 'content_filter'],
    ['IMAGE_SAFETY', 'content_filter'],
    ['IMAGE_PROHIBITED_CONTENT', 'content_filter'],
    ['IMAGE_RECITATION', 'content_filter'],
    ['IMAGE_OTHER', 'content_filter'],
    ['A_REASON_OF_NEXT_YEAR', 'stop'],
  ])('that ends with %s finishes with %s, also in a stream', (finishReason, expected) => {
    const parsed = answerOf(candidate([{ text: 'x' }], { finishReason }))
    expect(choiceOf(parsed)).toMatchObject({ finish_reason: expected, native_finish_reason: finishReason })
    expect(endsOf(sse(parsed))).toEqual([expected])
  })

  it.each([
    'MALFORMED_FUNCTION_CALL',
    'UNEXPECTED_TOOL_CALL',
    'TOO_MANY_TOOL_CALLS',
    'MISSING_THOUGHT_SIGNATURE',
    'MALFORMED_RESPONSE',
    'NO_IMAGE',
    'OTHER',
  ])('that ends with %s is an error, also in a stream', (finishReason) => {
    const parsed = answerOf(candidate([{ text: 'x' }], { finishReason, finishMessage: 'It went wrong.' }))
    const vendor = { message: 'It went wrong.', type: 'upstream_error', param: null, code: finishReason.toLowerCase() }
    const expected = { fault: 'reported', vendor }
    expect(() => whole(parsed)).toThrow(expect.objectContaining(expected))
    const streamed = sse(parsed)
    expect(streamed.failure).toMatchObject(expected)
    expect([textOf(streamed.parts), endsOf(streamed)]).toEqual(['x', []])
  })

  it('to a blocked prompt is empty and filtered, not an error and not nothing', () => {
    const blocked = { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 9 } }
    expect(whole(blocked)).toMatchObject({
      choices: [{ message: { content: '' }, finish_reason: 'content_filter', native_finish_reason: 'SAFETY' }],
      usage: { prompt_tokens: 9, completion_tokens: 0 },
    })
  })

  it.each([
    ['no candidates and no reason', { candidates: [], modelVersion: 'x' }],
    ['another wire', { choices: [] }],
    ['a list', []],
    ['a call without a name', answerOf(candidate([{ functionCall: {} }]))],
    ['a call in pieces', answerOf(candidate([{ functionCall: { name: 'f', partialArgs: [], willContinue: true } }]))],
  ])('is garbage with %s', (_name, parsed) => {
    expect(() => whole(parsed)).toThrow(expect.objectContaining({ fault: 'garbage' }))
  })

  it('may have several candidates, log probabilities and images', () => {
    const logprobsResult = {
      chosenCandidates: [{ token: 'é', logProbability: -0.5 }],
      topCandidates: [{ candidates: [{ token: 'e', logProbability: -2 }] }],
    }
    const image = { inlineData: { mimeType: 'image/webp', data: 'UklG' }, thoughtSignature: 'c2ln' }
    expect(
      whole(answerOf(candidate([{ text: 'é' }], { logprobsResult }), candidate([image], { index: 1 }))),
    ).toMatchObject({
      choices: [
        {
          index: 0,
          logprobs: {
            content: [
              {
                token: 'é',
                logprob: -0.5,
                bytes: [195, 169],
                top_logprobs: [{ token: 'e', logprob: -2, bytes: [101] }],
              },
            ],
          },
        },
        {
          index: 1,
          message: {
            content: '',
            images: [
              {
                type: 'image_url',
                image_url: { url: 'data:image/webp;base64,UklG' },
                extra_content: { google: { thought_signature: 'c2ln' } },
              },
            ],
          },
        },
      ],
    })
  })

  it('names its sources by characters, where Gemini counts bytes', () => {
    const groundingMetadata = {
      groundingChunks: [{ web: { uri: 'https://a.example', title: 'A' } }, { web: { uri: 'https://b.example' } }, {}],
      groundingSupports: [
        { segment: { endIndex: 7 }, groundingChunkIndices: [0, 1, 2, 9] },
        { segment: { startIndex: 8, endIndex: 11 }, groundingChunkIndices: [1] },
      ],
    }
    const cite = (url: string, title: string, start_index: number, end_index: number) => ({
      type: 'url_citation',
      url_citation: { url, title, start_index, end_index },
    })
    const annotations = [
      cite('https://a.example', 'A', 0, 5),
      cite('https://b.example', '', 0, 5),
      cite('https://b.example', '', 6, 9),
    ]
    expect(choiceOf(answerOf(candidate([{ text: 'Größe yes' }], { groundingMetadata })))).toMatchObject({
      message: { annotations },
    })
    const { parts } = sse(
      answerOf(candidate([{ text: 'Größe' }], { finishReason: undefined })),
      answerOf(candidate([{ text: ' yes' }], { groundingMetadata })),
    )
    expect(parts.flatMap(({ chunk }) => chunk.choices.flatMap(({ delta }) => delta.annotations ?? []))).toEqual(
      annotations,
    )
  })
})

describe('a stream of Gemini', () => {
  const event = (text: string, extra: JsonObject = {}) => answerOf({ content: { parts: [{ text }] }, ...extra })
  const last = { finishReason: 'STOP' }

  it('opens with the role, finishes once at the end and then counts, once', () => {
    const usage = (completion: number) => ({ usageMetadata: { promptTokenCount: 3, candidatesTokenCount: completion } })
    const { parts, failure } = sse(
      { ...event('a', last), ...usage(1) },
      { ...event('b', last), ...usage(2) },
      { ...answerOf(), usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 5 } },
    )
    expect(failure).toBeUndefined()
    expect(
      parts.map(({ chunk }) => [chunk.choices[0]?.delta, chunk.choices[0]?.finish_reason, chunk.usage?.total_tokens]),
    ).toEqual([
      [{ role: 'assistant', content: 'a' }, null, undefined],
      [{ content: 'b' }, null, undefined],
      [{}, 'stop', undefined],
      [undefined, undefined, 8],
    ])
  })

  it('numbers calls over all events, and keeps the signature of a part without a word', () => {
    const call = (name: string) => ({ content: { parts: [{ functionCall: { name, args: {} } }] } })
    const end = { content: { parts: [{ text: '', thoughtSignature: 'c2ln' }] }, ...last }
    const streamed = sse(answerOf(call('a')), answerOf(call('b')), answerOf(end))
    const deltas = streamed.parts.flatMap(({ chunk }) => chunk.choices.map(({ delta }) => delta))
    expect(deltas.flatMap(({ tool_calls }) => tool_calls?.map(({ index }) => index) ?? [])).toEqual([0, 1])
    expect(deltas.flatMap(({ extra_content }) => extra_content ?? [])).toEqual([
      { google: { thought_signature: 'c2ln' } },
    ])
    expect(endsOf(streamed)).toEqual(['tool_calls'])
  })

  it('that is blocked while it is written keeps its words and is filtered', () => {
    const streamed = sse(event('Well'), { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } })
    expect([streamed.failure, textOf(streamed.parts), endsOf(streamed)]).toEqual([
      undefined,
      'Well',
      ['content_filter'],
    ])
  })

  it('needs no [DONE] and minds none', () => {
    const streamed = sse(event('a', last), '[DONE]')
    expect([streamed.failure, endsOf(streamed)]).toEqual([undefined, ['stop']])
  })

  it.each([
    ['without a reason is cut', [event('a')], { fault: 'cut' }],
    [
      'of which one candidate has none is cut',
      [answerOf({ ...candidate([{ text: 'a' }]) }, { index: 1 })],
      { fault: 'cut' },
    ],
    ['of usage alone is cut', [{ usageMetadata: { promptTokenCount: 1 } }], { fault: 'cut' }],
    ['with half an event is garbage', [event('a'), '{"candidates":'], { fault: 'garbage' }],
    ['without events is garbage', [], { fault: 'garbage' }],
    [
      'with an error ends in it',
      [event('a'), { error: { code: 503, message: 'Overloaded', status: 'UNAVAILABLE' } }],
      { fault: 'reported', status: 503, vendor: { message: 'Overloaded', code: 'unavailable' } },
    ],
    [
      'with an error in a list ends in it',
      [event('a'), [{ error: { code: 429, message: 'Slow down', status: 'RESOURCE_EXHAUSTED' } }]],
      { fault: 'reported', status: 429, vendor: { type: 'rate_limit_error' } },
    ],
  ])('%s', (_name, events, expected) => {
    const { parts, failure } = sse(...events)
    expect(failure).toMatchObject(expected)
    expect(textOf(parts)).toBe(events.length > 0 && 'candidates' in Object(events[0]) ? 'a' : '')
  })

  it('is cut in the middle of its last event, however many reasons came before', () => {
    const bytes = new TextEncoder().encode(`data: ${JSON.stringify(event('a', last))}\r\n\r\ndata: {"candi`)
    expect(decode(decoderOf('gemini'), [bytes]).failure).toMatchObject({ fault: 'cut' })
  })
})
