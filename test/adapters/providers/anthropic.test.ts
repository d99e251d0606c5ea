import { describe, expect, it } from 'vitest'
import { createAnthropic } from '../../../src/adapters/providers/anthropic.ts'
import { anthropic, apiKey, message, nativeOf } from './anthropic-support.ts'
import { callOf, json, scripted, timeouts, upstreamFailure } from './support.ts'

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
