import { describe, expect, it } from 'vitest'
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
