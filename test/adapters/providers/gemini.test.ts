import { beforeAll, describe, expect, it } from 'vitest'
import { createOutbound } from '../../../src/adapters/outbound.ts'
import { createGemini } from '../../../src/adapters/providers/gemini.ts'
import { geminiErrorFacts } from '../../../src/adapters/providers/gemini-errors.ts'
import type { ChatAnswer, ChatMessage } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { type FakeGemini, plantedInGemini, startFakeGemini } from '../../support/fake-vendor/gemini.ts'
import { callOf, eventStream, json, readAll, scripted, textOf, timeouts, upstreamFailure } from './support.ts'

const apiKey = 'AIza-fake-0123456789'

const gemini = (outbound: Outbound, baseUrl = 'https://gemini.test') =>
  createGemini({ name: 'gemini', baseUrl, apiKey: `${apiKey}\n`, outbound, timeouts, wholeTotalMs: 20_000 })

const answer = { candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }] }

async function streamOf(given: ChatAnswer | Promise<ChatAnswer>) {
  const got = await given
  if (got.kind !== 'stream') throw new Error('no stream')
  return readAll(got.stream)
}

describe('what is sent to Gemini', () => {
  it.each([
    ['https://gemini.test', 'https://gemini.test/v1beta'],
    ['https://gemini.test/', 'https://gemini.test/v1beta'],
    ['https://gemini.test/v1beta', 'https://gemini.test/v1beta'],
    ['https://gemini.test/v1beta/openai/', 'https://gemini.test/v1beta'],
    ['https://gemini.test/proxy/v1', 'https://gemini.test/proxy/v1'],
  ])('goes below %s to %s, with the key in its own header', async (baseUrl, expected) => {
    const { outbound, requests } = scripted(() => json(answer))
    await gemini(outbound, baseUrl).chat(callOf({}, { model: 'gemini-2.5-flash' }))
    expect(requests[0]).toMatchObject({
      url: `${expected}/models/gemini-2.5-flash:generateContent`,
      purpose: 'vendor',
      headers: { 'x-goog-api-key': apiKey },
    })
    expect(requests[0]?.headers).not.toHaveProperty('authorization')
  })

  it.each([
    ['models/gemini-2.5-pro', 'gemini-2.5-pro'],
    ['../../v1/x?a=b#c', '..%2F..%2Fv1%2Fx%3Fa%3Db%23c'],
    ['a:countTokens', 'a%3AcountTokens'],
    ['..', '..'],
    ['\ud800', '%EF%BF%BD'],
  ])('names the model %j as one segment', async (model, segment) => {
    const { outbound, requests } = scripted(() => eventStream(`data: ${JSON.stringify(answer)}\n\n`))
    await gemini(outbound).chat(callOf({ stream: true }, { model }))
    const url = new URL(requests[0]?.url ?? '')
    expect(url.pathname).toBe(`/v1beta/models/${segment}:streamGenerateContent`)
    expect(url.search).toBe('?alt=sse')
  })

  it('refuses a key that no header can carry, without showing it', () => {
    const options = { name: 'gemini', baseUrl: 'https://x', apiKey: 'AIza\nb', timeouts, wholeTotalMs: 1 }
    expect(() => createGemini({ ...options, outbound: scripted(() => json({})).outbound })).toThrow(
      /^(?!.*AIza).*gemini/,
    )
  })
})

describe('an answer that is none', () => {
  it.each([
    ['HTML', () => new Response('<html></html>'), 'garbage'],
    ['an event stream', () => eventStream(`data: ${JSON.stringify(answer)}\n\n`), 'garbage'],
    ['nothing', () => new Response(''), 'garbage'],
    ['an error in a 200', () => json({ error: { code: 500, message: 'Internal', status: 'INTERNAL' } }), 'reported'],
  ])('for a whole: %s', async (_name, response, fault) => {
    expect(await upstreamFailure(gemini(scripted(response).outbound).chat(callOf()))).toMatchObject({ fault })
  })

  it.each([
    ['a document', () => json(answer), 'garbage'],
    [
      'an error in a list',
      () => json([{ error: { code: 429, message: 'Slow', status: 'RESOURCE_EXHAUSTED' } }]),
      'reported',
    ],
    ['a page', () => new Response('<html></html>', { headers: { 'content-type': 'text/html' } }), 'garbage'],
  ])('for a stream: %s', async (_name, response, fault) => {
    const work = gemini(scripted(response).outbound).chat(callOf({ stream: true }))
    expect(await upstreamFailure(work)).toMatchObject({ fault })
  })
})

describe('what Google says of an error', () => {
  const body = (error: Record<string, unknown>) => ({
    error: { code: 400, message: 'No', status: 'INVALID_ARGUMENT', ...error },
  })
  const retry = (retryDelay: string) => ({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay })

  it.each([
    ['a wrong request', body({}), { status: 400, vendor: { type: 'invalid_request_error', code: 'invalid_argument' } }],
    ['a wrong key as one', body({ details: [{ reason: 'API_KEY_INVALID' }] }), { status: 401 }],
    ['a wrong key in words', body({ message: 'API key expired. Please renew the API key.' }), { status: 401 }],
    [
      'a place it does not serve',
      body({ status: 'FAILED_PRECONDITION', message: 'User location is not supported for the API use.' }),
      { status: 403 },
    ],
    [
      'how long to wait',
      [body({ code: 429, status: 'RESOURCE_EXHAUSTED', details: [{ a: 1 }, retry('34.07s')] })],
      { status: 429, retryAfterMs: 34_070, vendor: { type: 'rate_limit_error' } },
    ],
    ['a wait of years', body({ details: [retry('99999999s')] }), { retryAfterMs: 86_400_000 }],
    ['no time', body({ details: [retry('soon')] }), { retryAfterMs: undefined }],
    [
      'a code that is no status',
      body({ code: 7, status: 'NEW' }),
      { status: undefined, vendor: { type: 'upstream_error' } },
    ],
  ])('%s', (_name, given, expected) => {
    expect(geminiErrorFacts(given)).toMatchObject(expected)
  })

  it('is nothing where it says nothing', () => {
    for (const given of [undefined, [], {}, { error: 'no' }, 'text']) expect(geminiErrorFacts(given)).toEqual({})
  })
})

describe('against a strict server', () => {
  let fake: FakeGemini
  let provider: ReturnType<typeof createGemini>
  beforeAll(async () => {
    fake = await startFakeGemini()
    const rules = { trustedOrigins: [fake.url], testOrigins: [], deniedHosts: [], dohUrl: '' }
    provider = gemini(createOutbound({ ...rules, fetch: (input, init) => fetch(input, init), now: Date.now }), fake.url)
    return fake.close
  })

  const say = (content: string): ChatMessage[] => [{ role: 'user', content }]
  const flash = { model: 'gemini-2.5-flash' }

  it('a stream says what the whole answer says', async () => {
    for (const wish of ['hello', 'fake:think', 'fake:json', 'fake:end=MAX_TOKENS', 'fake:block=SAFETY']) {
      const whole = await provider.chat(callOf({ messages: say(wish) }, flash))
      if (whole.kind !== 'whole') throw new Error('not whole')
      const { parts, failure } = await streamOf(provider.chat(callOf({ messages: say(wish), stream: true }, flash)))
      const [choice] = whole.completion.choices
      expect(failure).toBeUndefined()
      expect(textOf(parts)).toBe(choice?.message.content)
      expect(parts.flatMap(({ chunk }) => chunk.choices[0]?.finish_reason ?? [])).toEqual([choice?.finish_reason])
      expect(parts.at(-1)?.chunk.usage).toEqual(whole.completion.usage)
      expect(whole.usage?.prompt).toBeGreaterThan(0)
    }
  })

  it('every field that is translated is one that it knows', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }]
    const body = {
      messages: [{ role: 'system', content: 'Be brief.' }, ...say('hello')],
      temperature: 1,
      top_p: 1,
      top_k: 3,
      seed: 1,
      n: 2,
      presence_penalty: 1,
      frequency_penalty: 1,
      max_tokens: 10,
      stop: ['a', 'b', 'c', 'd', 'e', 'f'],
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
      modalities: ['text', 'image'],
      logprobs: true,
      reasoning_effort: 'low',
      safety_settings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'OFF' }],
      tools,
      tool_choice: 'required',
    }
    expect(await provider.chat(callOf(body, flash))).toMatchObject({ kind: 'whole', ignored: ['stop'] })
  })

  it.each([
    ['gemini-3-flash-preview', 1],
    ['gemini-3.1-pro-preview', 3],
    ['gemini-2.5-flash', 2],
  ])('%s runs a loop of tools, %i at once, with every signature in its place', async (model, parallel) => {
    const errorsBefore = fake.signatureErrors()
    const steps = 12
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object' } } }]
    const messages = say(`fake:loop=${steps},parallel=${parallel},think`)
    let called = 0
    for (let step = 0; step <= steps; step++) {
      const given = await provider.chat(callOf({ messages, tools }, { model }))
      if (given.kind !== 'whole') throw new Error('not whole')
      const message = given.completion.choices[0]?.message
      if (message === undefined) throw new Error('no message')
      // As a client keeps it: in JSON.
      messages.push(JSON.parse(JSON.stringify(message)))
      const calls: { id: string }[] = Array.isArray(message.tool_calls) ? message.tool_calls : []
      called += calls.length
      for (const { id } of calls) messages.push({ role: 'tool', tool_call_id: id, content: `Result of ${id}` })
    }
    expect(called).toBe(steps * parallel)
    expect(messages.at(-1)?.content).toMatch(/\w/)
    expect(fake.signatureErrors()).toBe(errorsBefore)
  })

  it('a history of another model goes on, and a forged signature does not', async () => {
    const call = { id: 'c', type: 'function', function: { name: 'look', arguments: '{}' } }
    const history = (extra: object) => [
      ...say('hello'),
      { role: 'assistant', content: null, tool_calls: [{ ...call, ...extra }] },
      { role: 'tool', tool_call_id: 'c', content: 'x' },
    ]
    const third = { model: 'gemini-3-flash-preview' }
    expect((await provider.chat(callOf({ messages: history({}) }, third))).kind).toBe('whole')
    const forged = { extra_content: { google: { thought_signature: 'Zm9yZ2Vk' } } }
    const work = provider.chat(callOf({ messages: history(forged) }, third))
    expect(await upstreamFailure(work)).toMatchObject({
      status: 400,
      vendor: { message: /Corrupted thought signature/ },
    })
  })

  it.each([400, 403, 404, 429, 500, 503])('an error %i tells nothing of the account', async (status) => {
    const failure = await upstreamFailure(provider.chat(callOf({ messages: say(`fake:error=${status}`) }, flash)))
    expect(failure).toMatchObject({ fault: 'status', status, retryAfterMs: status === 429 ? 1500 : undefined })
    const told = JSON.stringify([failure.message, failure.vendor])
    for (const secret of [...Object.values(plantedInGemini), apiKey]) expect(told).not.toContain(secret)
    expect(told).toContain('As you wish.')
  })

  it('an error in the middle, a cut and an unknown model are what they are', async () => {
    const streamed = (wish: string) => streamOf(provider.chat(callOf({ messages: say(wish), stream: true }, flash)))
    const late = await streamed('fake:late=503')
    expect(late.failure).toMatchObject({ fault: 'reported', status: 503 })
    expect(JSON.stringify(late.failure)).not.toContain(plantedInGemini.project)
    expect(textOf(late.parts)).not.toBe('')
    expect((await streamed('fake:cut')).failure).toMatchObject({ fault: 'cut' })
    expect(await upstreamFailure(provider.chat(callOf({}, { model: 'gemini-0' })))).toMatchObject({ status: 404 })
  })

  it('tokens are counted for the whole request', async () => {
    const { countTokens } = provider
    const body = { messages: [{ role: 'system', content: 'Be brief.' }, ...say('hello')] }
    const counted = await countTokens?.(callOf(body, flash))
    const given = await provider.chat(callOf(body, flash))
    expect(given).toMatchObject({ usage: { prompt: counted } })
  })

  it('texts are embedded in batches of a hundred and come back in order', async () => {
    const texts = Array.from({ length: 230 }, (_, position) => 'x'.repeat(position))
    const before = fake.requests()
    const body = { model: 'asked', input: texts, dimensions: 2, user: 'u' }
    const embedded = await provider.embed({ ...callOf(), model: 'gemini-embedding-001', body })
    expect(embedded).toEqual({
      vectors: texts.map((text) => [text.length, text.length + 1]),
      promptTokens: undefined,
      ignored: ['user'],
    })
    expect(fake.requests() - before).toBe(3)
    const numbers = { ...callOf(), model: 'gemini-embedding-001', body: { model: 'asked', input: [1, 2] } }
    expect(await upstreamFailure(provider.embed(numbers))).toMatchObject({ status: 400, vendor: { param: 'input' } })
  })

  it('models are listed over all pages, by their bare names', async () => {
    const listed = await provider.listModels(new AbortController().signal)
    expect(listed).toHaveLength(5)
    expect(listed[0]).toEqual({ name: 'gemini-2.5-flash', capabilities: ['completion'], contextWindow: 1_048_576 })
    expect(listed.at(-1)).toMatchObject({ name: 'gemini-embedding-001', capabilities: ['embedding'] })
  })

  it('a wrong key is the operator’s business, not the caller’s', async () => {
    const { outbound } = scripted((request) => fetch(request.url, { headers: { 'x-goog-api-key': 'other' } }))
    const failure = await upstreamFailure(gemini(outbound, fake.url).listModels(new AbortController().signal))
    expect(failure).toMatchObject({ fault: 'status', status: 401 })
  })
})
