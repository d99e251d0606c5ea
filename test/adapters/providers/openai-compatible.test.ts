import { describe, expect, it } from 'vitest'
import { createVendors, vendorOrigins } from '../../../src/adapters/providers/vendors.ts'
import { OutboundError } from '../../../src/core/outbound.ts'
import {
  apiKey,
  callOf,
  chunkEvent,
  chunkOf,
  eventStream,
  json,
  readAll,
  scripted,
  textOf,
  upstreamFailure,
  vendor,
} from './support.ts'

const completion = {
  id: 'chatcmpl-9',
  object: 'chat.completion',
  created: 1_763_712_000,
  model: 'gpt-real',
  system_fingerprint: 'fp_1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop', logprobs: null }],
  usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7, prompt_tokens_details: { cached_tokens: 4 } },
}

const askWhole = (response: () => Response) => vendor(scripted(response).outbound).chat(callOf())
const askStream = (response: () => Response) => vendor(scripted(response).outbound).chat(callOf({ stream: true }))

async function wholeOf(body: unknown) {
  const answer = await askWhole(() => json(body))
  if (answer.kind !== 'whole') throw new Error('not whole')
  return answer
}

describe('a whole answer', () => {
  it('goes out once, as JSON with the key, and comes back as it was', async () => {
    const { outbound, requests, sent } = scripted(() => json(completion))
    const answer = await vendor(outbound).chat(callOf())
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({
      url: 'https://vendor.test/v1/chat/completions',
      purpose: 'vendor',
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', accept: 'application/json' },
      headersTimeoutMs: 20_000,
    })
    expect(sent()).toMatchObject({ model: 'upstream-model' })
    expect(answer).toEqual({
      kind: 'whole',
      completion,
      usage: { prompt: 5, cached: 4, cacheWrite: 0, completion: 2, reasoning: 0 },
      ignored: [],
    })
  })

  it('is repaired where the vendor forgot what clients rely on', async () => {
    const call = { function: { name: 'f', arguments: { a: 1 } } }
    const answer = await wholeOf({ choices: [{ message: { content: null, tool_calls: [call] } }] })
    expect(answer.usage).toBeUndefined()
    expect(answer.completion).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      model: 'upstream-model',
      choices: [
        {
          index: 0,
          finish_reason: null,
          message: {
            role: 'assistant',
            tool_calls: [
              { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
            ],
          },
        },
      ],
    })
  })

  it('has its thinking parts taken apart', async () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'Yes' },
    ]
    const { completion } = await wholeOf({ choices: [{ message: { role: 'assistant', content } }] })
    expect(completion.choices[0]?.message).toEqual({ role: 'assistant', content: 'Yes', reasoning_content: 'hm' })
  })

  it.each([
    ['HTML', new Response('<html>Sign in</html>', { headers: { 'content-type': 'text/html' } })],
    ['an empty body', new Response('')],
    ['no body', new Response(null, { status: 204 })],
    ['half a document', new Response('{"choices":[')],
    ['no choices', json({ id: 'x', choices: [] })],
    ['a choice without a message', json({ choices: [{ index: 0 }] })],
    ['a list', json([])],
  ])('is garbage when it is %s', async (_name, response) => {
    expect(await upstreamFailure(askWhole(() => response))).toMatchObject({ fault: 'garbage', status: undefined })
  })

  it('is an error when a 200 says so', async () => {
    const failure = await upstreamFailure(askWhole(() => json({ error: { message: `no ${apiKey}`, code: 'x' } })))
    expect(failure).toMatchObject({ fault: 'reported', vendor: { message: 'no [redacted]', code: 'x' } })
  })
})

describe('an error status', () => {
  it('is told with the vendor’s words, its wait, and never the key', async () => {
    const body = {
      error: {
        message: `Incorrect API key provided: ${apiKey}`,
        type: 'invalid_request_error',
        code: 'invalid_api_key',
      },
    }
    const response = () => json(body, { status: 401, headers: { 'retry-after': '3' } })
    const failure = await upstreamFailure(askStream(response))
    expect(failure).toMatchObject({
      fault: 'status',
      status: 401,
      retryAfterMs: 3000,
      vendor: { code: 'invalid_api_key' },
    })
    expect(JSON.stringify([failure.message, failure.vendor, String(failure.cause)])).not.toContain(apiKey)
  })

  it.each([
    ['HTML', 502, new Response('<html>Bad gateway</html>', { status: 502 }), undefined],
    ['nothing', 500, new Response('', { status: 500 }), undefined],
    ['a redirect', 302, new Response('', { status: 302 }), undefined],
    ['a text', 503, new Response('no healthy upstream', { status: 503 }), 'no healthy upstream'],
  ])('is told for %s', async (_name, status, response, told) => {
    const failure = await upstreamFailure(askWhole(() => response))
    expect([failure.fault, failure.status, failure.vendor?.message]).toEqual(['status', status, told])
  })
})

describe('a request that got no response', () => {
  it.each([
    ['blocked', 'connect'],
    ['unresolved', 'connect'],
    ['connect', 'connect'],
    ['timeout', 'timeout'],
    ['aborted', 'aborted'],
  ] as const)('%s is %s', async (told, fault) => {
    const outbound = () => Promise.reject(new OutboundError(told, 'inner words'))
    expect(await upstreamFailure(vendor(outbound).chat(callOf()))).toMatchObject({ fault, vendor: undefined })
  })

  it('is not sent at all when the caller has already left', async () => {
    const { outbound, requests } = scripted(() => json(completion))
    const signal = AbortSignal.abort()
    expect(await upstreamFailure(vendor(outbound).chat(callOf({}, { signal })))).toMatchObject({ fault: 'aborted' })
    expect(requests).toEqual([])
  })
})

describe('a streamed answer', () => {
  it('is asked for with usage and patience for its first byte', async () => {
    const { outbound, requests, sent } = scripted(() => eventStream(chunkEvent(chunkOf({ content: 'Hi' }, 'stop'))))
    const answer = await vendor(outbound).chat(callOf({ stream: true }))
    if (answer.kind !== 'stream') throw new Error('no stream')
    const { parts, failure } = await readAll(answer.stream)
    expect([textOf(parts), failure]).toEqual(['Hi', undefined])
    expect(sent()).toMatchObject({ stream: true, stream_options: { include_usage: true } })
    expect(requests[0]).toMatchObject({ headersTimeoutMs: 3000, headers: { accept: 'text/event-stream' } })
    expect(await answer.stream.read()).toBeUndefined()
  })

  it('gives the parts before an error, then the error, again and again', async () => {
    const text = `${chunkEvent(chunkOf({ content: 'Hi' }))}data: {"error":"gone"}\n\n`
    const answer = await askStream(() => eventStream(text))
    if (answer.kind !== 'stream') throw new Error('no stream')
    expect(await answer.stream.read()).toHaveLength(1)
    expect(await upstreamFailure(answer.stream.read())).toMatchObject({ fault: 'reported' })
    expect(await upstreamFailure(answer.stream.read())).toMatchObject({ fault: 'reported' })
  })

  it.each([
    ['an error document', json({ error: { message: 'busy' } }), 'reported'],
    ['Gemini’s list of errors', json([{ error: { message: 'busy' } }]), 'reported'],
    ['a whole completion', json(completion), 'garbage'],
    ['a page', new Response('<html></html>', { headers: { 'content-type': 'text/html' } }), 'garbage'],
  ])('fails at once for %s', async (_name, response, fault) => {
    expect(await upstreamFailure(askStream(() => response))).toMatchObject({ fault })
  })

  it('is read even when its content type is wrong', async () => {
    const answer = await askStream(() => eventStream(chunkEvent(chunkOf({ content: 'Hi' }, 'stop')), 'text/plain'))
    if (answer.kind !== 'stream') throw new Error('no stream')
    expect((await readAll(answer.stream)).failure).toBeUndefined()
  })
})

describe('embeddings', () => {
  const embed = (data: unknown, input: string | string[] | number[] = ['a', 'b']) => {
    const script = scripted(() => json({ object: 'list', data, usage: { prompt_tokens: 4, total_tokens: 4 } }))
    const body = { model: 'asked', input, encoding_format: 'base64', dimensions: 2 } as const
    return { ...script, work: vendor(script.outbound).embed({ ...callOf(), body }) }
  }

  it('come back in input order, as numbers', async () => {
    const base64 = btoa(String.fromCharCode(...new Uint8Array(new Float32Array([0.5, -2]).buffer)))
    const { work, requests, sent } = embed([
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: base64 },
    ])
    expect(await work).toEqual({
      vectors: [
        [0.5, -2],
        [3, 4],
      ],
      promptTokens: 4,
      ignored: [],
    })
    expect(requests[0]?.url).toBe('https://vendor.test/v1/embeddings')
    expect(sent()).toEqual({ model: 'upstream-model', input: ['a', 'b'], dimensions: 2 })
  })

  it('of one token list are one vector', async () => {
    expect((await embed([{ embedding: [1] }], [9906, 1917]).work).vectors).toEqual([[1]])
  })

  it.each([
    ['too few', [{ index: 0, embedding: [1] }]],
    [
      'the same twice',
      [
        { index: 0, embedding: [1] },
        { index: 0, embedding: [2] },
      ],
    ],
    [
      'no numbers',
      [
        { index: 0, embedding: [1] },
        { index: 1, embedding: ['x'] },
      ],
    ],
    [
      'broken base64',
      [
        { index: 0, embedding: [1] },
        { index: 1, embedding: '%%%' },
      ],
    ],
    ['nothing', undefined],
  ])('are garbage with %s', async (_name, data) => {
    expect(await upstreamFailure(embed(data).work)).toMatchObject({ fault: 'garbage' })
  })
})

describe('the list of models', () => {
  it('reads names and windows in every vendor’s words', async () => {
    const data = [
      { id: 'models/a', context_length: 10 },
      { id: 'b', context_window: 20 },
      { id: 'c', max_context_length: 30 },
      { x: 1 },
    ]
    const list = (body: unknown) =>
      vendor(scripted(() => json(body)).outbound, {
        quirks: { maxTokensField: 'max_tokens', supportsStreamUsage: true, listedNamePrefix: 'models/' },
      }).listModels(new AbortController().signal)
    const expected = [
      { name: 'a', contextWindow: 10 },
      { name: 'b', contextWindow: 20 },
      { name: 'c', contextWindow: 30 },
    ]
    expect(await list({ object: 'list', data })).toEqual(expected)
    expect(await list(data)).toEqual(expected)
    expect(await upstreamFailure(list({}))).toMatchObject({ fault: 'garbage' })
  })
})

describe('the configured vendors', () => {
  it('are those with a key, in order of priority, at their own or the given address', async () => {
    const { outbound, requests } = scripted(() => json({ data: [] }))
    const vendors = {
      openrouter: { apiKey: 'or-key', baseUrl: undefined },
      anthropic: { apiKey: 'an-key\n', baseUrl: undefined },
      openai: { apiKey: 'oa-key', baseUrl: 'http://127.0.0.1:9999/v1' },
      nobody: { apiKey: 'x', baseUrl: undefined },
    }
    const providers = createVendors({ vendors, outbound })
    expect(providers.map(({ name, kind }) => [name, kind])).toEqual([
      ['openai', 'vendor'],
      ['anthropic', 'vendor'],
      ['openrouter', 'vendor'],
    ])
    expect(vendorOrigins(vendors)).toEqual([
      'http://127.0.0.1:9999',
      'https://api.anthropic.com',
      'https://openrouter.ai',
    ])
    for (const provider of providers) await provider.listModels(new AbortController().signal)
    expect(requests.map(({ url }) => url)).toEqual([
      'http://127.0.0.1:9999/v1/models',
      'https://api.anthropic.com/v1/models',
      'https://openrouter.ai/api/v1/models',
    ])
    expect(requests[1]?.headers).toMatchObject({ 'x-api-key': 'an-key', 'anthropic-version': '2023-06-01' })
  })

  it('refuse a key that no header can carry, without showing it', () => {
    const { outbound } = scripted(() => json({}))
    expect(() => vendor(outbound, { apiKey: 'sk-a\nb' })).toThrow(/^(?!.*sk-a).*vendor/)
  })
})
