import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChatAnswer, ChatBody, ChatMessage } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { type FakeAnthropic, planted, startFakeAnthropic } from '../../support/fake-vendor/anthropic.ts'
import { signatureOf } from '../../support/fake-vendor/anthropic-rules.ts'
import { anthropic, apiKey, nativeOf } from './anthropic-support.ts'
import { callOf, readAll, textOf, upstreamFailure } from './support.ts'

const signal = new AbortController().signal

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
