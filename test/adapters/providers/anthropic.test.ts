import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAnthropic } from '../../../src/adapters/providers/anthropic.ts'
import type { ChatAnswer, ChatBody, ChatCall, ChatMessage, NativeRequest } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { type FakeAnthropic, planted, startFakeAnthropic } from '../../support/fake-vendor/anthropic.ts'
import { signatureOf } from '../../support/fake-vendor/anthropic-rules.ts'
import { anthropic, apiKey, end, event, start } from './anthropic-support.ts'
import { callOf, eventStream, json, readAll, scripted, textOf, timeouts, upstreamFailure } from './support.ts'

const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-x',
  content: [{ type: 'text', text: 'Hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
}
const signal = new AbortController().signal

describe('the address', () => {
  it.each(['https://vendor.test', 'https://vendor.test/', 'https://vendor.test/v1', 'https://vendor.test/v1/'])(
    'may be given as %s',
    async (baseUrl) => {
      const { outbound, requests, sent } = scripted(() => json(message))
      await anthropic(outbound, { baseUrl }).chat(callOf({}, { model: 'claude-haiku-4-5' }))
      expect(requests[0]).toMatchObject({ url: 'https://vendor.test/v1/messages', method: 'POST', purpose: 'vendor' })
      expect(requests[0]?.headers).toMatchObject({ 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' })
      expect(requests[0]?.headers).not.toHaveProperty('authorization')
      expect(sent()).toMatchObject({ model: 'claude-haiku-4-5', stream: false })
    },
  )

  it('may not be used with a key that no header can carry', () => {
    expect(() => anthropic(() => Promise.reject(new Error()), { apiKey: 'sk-a\nb' })).toThrow(/^(?!.*sk-a).*anthropic/)
  })
})

describe('a whole answer', () => {
  const ask = async (answer: object) => {
    const { outbound } = scripted(() => json({ ...message, ...answer }))
    const given = await anthropic(outbound).chat(callOf())
    if (given.kind !== 'whole') throw new Error('expected a whole answer')
    return given
  }

  it('has the shape that clients know', async () => {
    const { completion, usage, ignored, native } = await ask({})
    expect(completion).toMatchObject({
      id: 'msg_1',
      object: 'chat.completion',
      model: 'claude-x',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hi' },
          finish_reason: 'stop',
          native_finish_reason: 'end_turn',
        },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    })
    expect(usage).toEqual({ prompt: 3, cached: 0, cacheWrite: 0, completion: 2, reasoning: 0 })
    expect([ignored, native]).toEqual([[], undefined])
  })

  it('keeps thoughts, calls, sources, and what is inside the cache', async () => {
    const { completion, usage } = await ask({
      content: [
        { type: 'thinking', thinking: 'Hm.', signature: 'sig==' },
        { type: 'redacted_thinking', data: 'Er==' },
        { type: 'text', text: 'See: ' },
        { type: 'text', text: 'it.', citations: [{ url: 'https://a.test/', title: 'A' }] },
        { type: 'server_tool_use', id: 's', name: 'web_search', input: { q: 1 } },
        { type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: 'é' } },
        { type: 'tool_use', id: 'toolu_2', name: 'g', input: {} },
      ],
      stop_reason: 'tool_use',
      usage: {
        input_tokens: 1,
        cache_read_input_tokens: 10,
        cache_creation_input_tokens: 5,
        cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 3 },
        output_tokens: 9,
        output_tokens_details: { thinking_tokens: 4 },
      },
    })
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: 'See: it.',
        reasoning_content: 'Hm.',
        thinking_blocks: [
          { type: 'thinking', thinking: 'Hm.', signature: 'sig==' },
          { type: 'redacted_thinking', data: 'Er==' },
        ],
        tool_calls: [
          { id: 'toolu_1', type: 'function', function: { name: 'f', arguments: '{"a":"é"}' } },
          { id: 'toolu_2', type: 'function', function: { name: 'g', arguments: '{}' } },
        ],
        annotations: [
          { type: 'url_citation', url_citation: { url: 'https://a.test/', title: 'A', start_index: 5, end_index: 8 } },
        ],
      },
    })
    expect(usage).toEqual({ prompt: 16, cached: 10, cacheWrite: 5, cacheWriteHour: 3, completion: 9, reasoning: 4 })
  })

  it('has no content where it only calls', async () => {
    const { completion } = await ask({ content: [{ type: 'tool_use', id: 'a', name: 'f' }], stop_reason: 'tool_use' })
    expect(completion.choices[0]?.message).toMatchObject({
      content: null,
      tool_calls: [{ function: { arguments: '{}' } }],
    })
  })

  it('of a refusal says why', async () => {
    const stop_details = { type: 'refusal', category: 'cyber', explanation: 'Not this.' }
    const { completion } = await ask({ content: [], stop_reason: 'refusal', stop_details })
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'content_filter',
      stop_details,
      message: { content: '', refusal: 'Not this.' },
    })
  })

  it.each([[{ content: 'text' }], [{ content: undefined }]])('without content is garbage: %o', async (answer) => {
    const { outbound } = scripted(() => json({ ...message, ...answer }))
    expect(await upstreamFailure(anthropic(outbound).chat(callOf()))).toMatchObject({ fault: 'garbage' })
  })
})

describe('limits and losses', () => {
  it('takes the model’s own limit where nobody set one', async () => {
    const { outbound, sent } = scripted(() => json(message))
    const maxOutputOf = (model: string) => (model === 'claude-haiku-4-5' ? 64_000 : undefined)
    const options = { name: 'a', baseUrl: 'https://vendor.test', apiKey, outbound, timeouts, wholeTotalMs: 1000 }
    const provider = createAnthropic({ ...options, maxOutputOf })
    await provider.chat(callOf({}, { model: 'claude-haiku-4-5' }))
    expect(sent().max_tokens).toBe(64_000)
    await provider.chat(callOf({}, { model: 'claude-haiku-4-5', native: nativeOf({ messages: [] }) }))
    expect(sent().max_tokens).toBe(64_000)
    await provider.chat(callOf({}, { model: 'claude-other' }))
    expect(sent().max_tokens).toBe(4096)
  })

  it('refuses to lose anything of a strict request, before it is sent', async () => {
    const { outbound, requests } = scripted(() => json(message))
    const failure = await upstreamFailure(anthropic(outbound).chat(callOf({ seed: 1 }, { strict: true })))
    expect(failure).toMatchObject({ fault: 'status', status: 400, vendor: { param: 'seed' } })
    expect(requests).toEqual([])
  })

  it('has no embeddings', async () => {
    const { outbound, requests } = scripted(() => json({}))
    const work = anthropic(outbound).embed({ ...callOf(), body: { model: 'm', input: 'x' } })
    expect(await upstreamFailure(work)).toMatchObject({ status: 400, vendor: { param: 'model' } })
    expect(requests).toEqual([])
  })
})

const nativeOf = (body: object, headers?: Record<string, string>): NativeRequest => ({
  wire: 'anthropic',
  body: { ...body },
  ...(headers === undefined ? {} : { headers }),
})

describe('a request that came in this wire', () => {
  const body = {
    model: 'my-claude',
    max_tokens: 500,
    messages: [{ role: 'user', content: 'Hi' }],
    tools: [{ type: 'memory_20250818', name: 'memory' }],
    thinking: { type: 'enabled', budget_tokens: 300 },
    new_field: { a: 1 },
  }
  const ask = async (native: NativeRequest, extra: Partial<ChatCall> = {}, chat: Partial<ChatBody> = {}) => {
    const script = scripted(() =>
      chat.stream ? eventStream(start() + event('ping') + end()) : json({ ...message, new: 1 }),
    )
    const answer = await anthropic(script.outbound).chat(callOf(chat, { model: 'claude-x', native, ...extra }))
    return { ...script, answer }
  }

  it('is sent on as it is, but for its model, its bound and whether it streams', async () => {
    const { sent, answer } = await ask(nativeOf({ ...body, stream: true }))
    expect(sent()).toEqual({ ...body, model: 'claude-x', stream: false })
    expect(answer).toMatchObject({ kind: 'whole', ignored: [], native: { ...message, new: 1 } })
    expect((await ask(nativeOf(body), { maxOutputTokens: 400 })).sent().max_tokens).toBe(400)
    expect((await ask(nativeOf(body), { maxOutputTokens: 600 })).sent().max_tokens).toBe(500)
    expect((await ask(nativeOf({ ...body, max_tokens: 0 }))).sent().max_tokens).toBe(0)
    expect((await ask(nativeOf({ ...body, max_tokens: undefined }), { maxOutputTokens: 9 })).sent().max_tokens).toBe(9)
  })

  it('has the vendor’s own events in its stream', async () => {
    const { sent, answer } = await ask(nativeOf(body), {}, { stream: true })
    expect(sent().stream).toBe(true)
    if (answer.kind !== 'stream') throw new Error('expected a stream')
    const { parts } = await readAll(answer.stream)
    const told = parts.flatMap(({ native = [] }) => native).map((each) => each.event)
    expect(told).toEqual(['message_start', 'ping', 'message_delta', 'message_stop'])
  })

  it('brings along only betas that cost and share nothing', async () => {
    const given =
      'interleaved-thinking-2025-05-14, fast-mode-2026-02-01,files-api-2025-04-14,context-management-2025-06-27'
    const { requests, answer } = await ask(nativeOf(body, { 'anthropic-beta': given, 'x-other': 'y' }))
    expect(requests[0]?.headers).toMatchObject({
      'anthropic-beta': 'interleaved-thinking-2025-05-14,context-management-2025-06-27',
    })
    expect(requests[0]?.headers).not.toHaveProperty('x-other')
    expect(answer.ignored).toEqual(['anthropic-beta'])
    const none = await ask(nativeOf(body, { 'anthropic-beta': 'mcp-client-2025-11-20' }))
    expect(none.requests[0]?.headers).not.toHaveProperty('anthropic-beta')
  })

  it('is answered in the version that its client was written for', async () => {
    const version = async (given: string) =>
      (await ask(nativeOf(body, { 'anthropic-version': given }))).requests[0]?.headers?.['anthropic-version']
    expect(await version('2026-10-21')).toBe('2026-10-21')
    expect(await version('1999-01-01')).toBe('2023-06-01')
  })

  it('is not served faster or elsewhere than we would book', async () => {
    const { sent, answer } = await ask(nativeOf({ ...body, speed: 'fast', inference_geo: 'us' }))
    expect(sent()).not.toHaveProperty('speed')
    expect(sent()).not.toHaveProperty('inference_geo')
    expect(answer.ignored).toEqual(['speed', 'inference_geo'])
    expect((await ask(nativeOf({ ...body, speed: 'standard' }))).sent().speed).toBe('standard')
  })

  it('of another wire is told in our words', async () => {
    const { sent, answer } = await ask({ wire: 'gemini', body: { contents: [] } })
    expect(sent()).toMatchObject({ messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    expect(answer).not.toHaveProperty('native')
  })
})

describe('over a connection', () => {
  let fake: FakeAnthropic
  beforeAll(async () => {
    fake = await startFakeAnthropic()
  })
  afterAll(() => fake.close())

  const outbound: Outbound = ({ url, method = 'GET', headers = {}, body = null, signal: stop = null }) =>
    fetch(url, { method, headers, body, signal: stop })
  const provider = (key = apiKey) => anthropic(outbound, { baseUrl: `${fake.url}/v1`, apiKey: key })
  const model = 'claude-haiku-4-5'
  const script = (value: object) => ({ role: 'user', content: `fake:${JSON.stringify(value)}` })

  const ask = (messages: ChatMessage[], body: Partial<ChatBody> = {}) =>
    provider().chat(callOf({ messages, max_tokens: 4000, ...body }, { model }))

  /** The message of an answer, whichever way it came. */
  async function messageIn(answer: ChatAnswer): Promise<ChatMessage> {
    if (answer.kind === 'whole') return answer.completion.choices[0]?.message ?? { role: '' }
    const { parts, failure } = await readAll(answer.stream)
    if (failure !== undefined) throw failure
    const said = parts.flatMap(({ chunk }) => chunk.choices.map(({ delta }) => delta))
    const calls: { index: number; function: { name: string; arguments: string } }[] = []
    for (const fragment of said.flatMap((delta) => delta.tool_calls ?? [])) {
      const known = calls[fragment.index]
      if (known) known.function.arguments += fragment.function?.arguments ?? ''
      else calls.push({ function: { name: '', arguments: '' }, ...structuredClone(fragment) } as (typeof calls)[number])
    }
    return {
      role: 'assistant',
      content: textOf(parts) || null,
      thinking_blocks: said.flatMap(({ thinking_blocks: blocks }) => blocks ?? []),
      tool_calls: calls.map(({ index: _index, ...call }) => call),
    }
  }

  it.each([false, true])('goes round a loop of tools with its thoughts (streamed: %s)', async (stream) => {
    const tools = ['look', 'rest'].map((name) => ({ type: 'function', function: { name } }))
    const wish = { tools, stream, reasoning_effort: 'high' }
    const calls = [
      { name: 'look', input: { at: 'a "b" é', deep: { x: [1] } } },
      { name: 'rest', input: {} },
    ]
    const asked = [{ role: 'system', content: 'Act.' }, script({ think: 'I must look.', text: 'So.', calls })]
    const first = await messageIn(await ask(asked, wish))
    expect(first).toMatchObject({
      content: 'So.',
      thinking_blocks: [{ type: 'thinking', thinking: 'I must look.', signature: signatureOf('I must look.') }],
      tool_calls: [
        { function: { name: 'look', arguments: JSON.stringify(calls[0]?.input) } },
        { function: { name: 'rest', arguments: '{}' } },
      ],
    })
    const ids = (first.tool_calls as { id: string }[]).map(({ id }) => id)
    const results = ids.toReversed().map((id) => ({ role: 'tool', tool_call_id: id, content: 'seen' }))
    const second = await messageIn(await ask([...asked, first, ...results], wish))
    expect(second.content).toBe('2 results')
    expect(fake.lastBody()).toMatchObject({ thinking: { type: 'enabled', budget_tokens: 3200 } })
  })

  it('takes up a conversation of another model, whose ids and thoughts the vendor would refuse', async () => {
    const foreign = {
      role: 'assistant',
      content: null,
      reasoning_content: 'Hm.',
      tool_calls: [{ id: 'functions.f:0', type: 'function', function: { name: 'f', arguments: '' } }],
    }
    const messages = [
      { role: 'user', content: 'A' },
      foreign,
      { role: 'tool', tool_call_id: 'functions.f:0', content: 'x' },
    ]
    const answer = await ask(messages, { reasoning_effort: 'high' })
    expect(await messageIn(answer)).toMatchObject({ content: '1 results' })
    expect(answer.ignored).toEqual(['messages[].reasoning_content', 'reasoning_effort'])
  })

  it('forged thoughts are the vendor’s to refuse', async () => {
    const forged = { type: 'thinking', thinking: 'I never thought this.', signature: 'EqoBforged' }
    const messages = [
      { role: 'user', content: 'A' },
      { role: 'assistant', content: 'B', thinking_blocks: [forged] },
    ]
    const failure = await upstreamFailure(ask([...messages, { role: 'user', content: 'C' }]))
    expect(failure).toMatchObject({ fault: 'status', status: 400, vendor: { type: 'invalid_request_error' } })
  })

  it.each([
    ['invalid_request_error', 400, 'invalid_request_error'],
    ['permission_error', 403, 'permission_error'],
    ['not_found_error', 404, 'invalid_request_error'],
    ['request_too_large', 413, 'invalid_request_error'],
    ['rate_limit_error', 429, 'rate_limit_error'],
    ['api_error', 500, 'server_error'],
    ['overloaded_error', 529, 'server_error'],
  ])('an error %s is a status %s, and tells nothing about our account', async (error, status, type) => {
    for (const stream of [false, true]) {
      const failure = await upstreamFailure(ask([script({ error })], { stream }))
      expect(failure).toMatchObject({ fault: 'status', status, vendor: { type } })
      expect(failure.retryAfterMs).toBe(status === 429 ? 7000 : undefined)
      expectClean(failure.vendor?.message)
    }
  })

  function expectClean(message: string | undefined): void {
    expect(message).toMatch(/^As you asked\./)
    for (const secret of [...Object.values(planted), apiKey, new URL(fake.url).host])
      expect(message).not.toContain(secret)
  }

  it('a key that is refused is not quoted', async () => {
    const failure = await upstreamFailure(provider('sk-ant-wrong-key').chat(callOf({}, { model })))
    expect(failure).toMatchObject({ status: 401, vendor: { type: 'authentication_error' } })
    expect(failure.vendor?.message).not.toContain('sk-ant-wrong-key')
  })

  it('streams that fail or break say so', async () => {
    const streamed = async (value: object) => {
      const answer = await ask([script(value)], { stream: true })
      if (answer.kind !== 'stream') throw new Error('expected a stream')
      return readAll(answer.stream)
    }
    const late = await streamed({ text: 'Hello', late: 'overloaded_error' })
    expect(late.failure).toMatchObject({ fault: 'reported', status: 529 })
    expect(textOf(late.parts)).toBe('Hel')
    expect((await streamed({ text: 'Hello', cut: true })).failure).toMatchObject({ fault: 'cut' })
  })

  it('counts tokens as the vendor does, of a body in any wire', async () => {
    const wish = { tools: [{ type: 'function', function: { name: 'f' } }], stream: true, user: 'u', temperature: 0.5 }
    const counted = await provider().countTokens?.(callOf(wish, { model }))
    expect(counted).toBeGreaterThan(10)
    expect(Object.keys(fake.lastBody() as object).sort()).toEqual(['messages', 'model', 'tool_choice', 'tools'])
    const native = nativeOf({
      model: 'x',
      max_tokens: 5,
      messages: [{ role: 'user', content: 'Hi' }],
      stop_sequences: ['a'],
    })
    expect(await provider().countTokens?.(callOf({}, { model, native }))).toBeGreaterThan(0)
    expect(fake.lastBody()).toEqual({ model, messages: [{ role: 'user', content: 'Hi' }] })
  })

  it('lists all pages of its models', async () => {
    expect((await provider().listModels(signal)).map(({ name }) => name)).toEqual([
      'claude-haiku-4-5',
      'claude-opus-4-5',
      'claude-sonnet-4-6',
      'claude-opus-5',
    ])
  })

  it('the fake is what the vendor’s own client takes it for', async () => {
    const client = new Anthropic({ apiKey, baseURL: fake.url, maxRetries: 0 })
    const asked = {
      model,
      max_tokens: 50,
      messages: [{ role: 'user' as const, content: 'fake:{"text":"Grüße 👋","think":"Hm."}' }],
    }
    const streamed = await client.messages.stream(asked).finalMessage()
    const whole = await client.messages.create(asked)
    expect(streamed.content).toMatchObject([
      { type: 'thinking', thinking: 'Hm.' },
      { type: 'text', text: 'Grüße 👋' },
    ])
    expect(whole.content).toMatchObject(streamed.content.map(({ type }) => ({ type })))
  })
})

describe('what is no answer', () => {
  it.each([
    [
      'an account without credit',
      400,
      'Your credit balance is too low to access the Anthropic API.',
      402,
      'insufficient_quota',
    ],
    ['a limit of our own', 400, 'You have reached your specified API usage limits.', 402, 'insufficient_quota'],
    ['a prompt beyond the window', 400, 'prompt is too long: 9 tokens > 8 maximum', 400, 'context_length_exceeded'],
  ])('%s is told for what it is', async (_name, status, words, told, code) => {
    const error = { type: 'error', error: { type: 'invalid_request_error', message: words } }
    const { outbound } = scripted(() => json(error, { status }))
    expect(await upstreamFailure(anthropic(outbound).chat(callOf()))).toMatchObject({ status: told, vendor: { code } })
  })

  it('a page of a proxy has a status and no words', async () => {
    const { outbound } = scripted(() => new Response('<html>', { status: 502 }))
    expect(await upstreamFailure(anthropic(outbound).chat(callOf()))).toMatchObject({ status: 502, vendor: undefined })
  })

  it('a document in place of a stream is its error, or garbage', async () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    const ask = (body: unknown) => anthropic(scripted(() => json(body)).outbound).chat(callOf({ stream: true }))
    expect(await upstreamFailure(ask(error))).toMatchObject({ fault: 'reported', status: 529 })
    expect(await upstreamFailure(ask(message))).toMatchObject({ fault: 'garbage' })
  })

  it('a list without an end, or without a list, is garbage', async () => {
    const endless = scripted(() => json({ data: [], has_more: true, last_id: 'x' }))
    expect(await upstreamFailure(anthropic(endless.outbound).listModels(signal))).toMatchObject({ fault: 'garbage' })
    expect(endless.requests.length).toBeLessThan(30)
    const none = scripted(() => json({ models: [] }))
    expect(await upstreamFailure(anthropic(none.outbound).listModels(signal))).toMatchObject({ fault: 'garbage' })
    const uncounted = anthropic(scripted(() => json({ tokens: 3 })).outbound).countTokens?.(callOf())
    expect(await upstreamFailure(Promise.resolve(uncounted))).toMatchObject({ fault: 'garbage' })
  })

  it('a listed model tells what it can do', async () => {
    const can = (supported: boolean) => ({ supported })
    const capabilities = { image_input: can(true), structured_outputs: can(true), thinking: can(false) }
    const data = [{ id: 'a', capabilities, max_input_tokens: 1000 }, { id: '' }]
    const { outbound } = scripted(() => json({ data, has_more: false }))
    expect(await anthropic(outbound).listModels(signal)).toEqual([
      { name: 'a', capabilities: ['completion', 'tools', 'vision', 'json_schema'], contextWindow: 1000 },
    ])
  })
})
