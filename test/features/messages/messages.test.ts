import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Sent, startGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { readMessage } from '../../support/message-events.ts'

const hello = [{ role: 'user', content: 'Hi' }]
const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }
const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o-2024-08-06',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
  usage,
}
const message = {
  id: 'msg_theirs',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'Bonjour.', citations: null, future_field: 1 }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 5, cache_read_input_tokens: 3, cache_creation_input_tokens: 2, output_tokens: 4 },
}
const events = [
  { type: 'message_start', message: { ...message, content: [], usage: { input_tokens: 5, output_tokens: 1 } } },
  { type: 'ping' },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Bonjour.' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 4 } },
  { type: 'message_stop' },
]
const stream = (lines: readonly string[]) =>
  new Response(lines.map((line) => `${line}\n\n`).join(''), { headers: { 'content-type': 'text/event-stream' } })
const theirEvents = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}`)
const chunk = (fields: object) =>
  `data: ${JSON.stringify({ ...completion, object: 'chat.completion.chunk', ...fields })}`
const chunks = [
  chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello.' } }], usage: null }),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
  chunk({ choices: [], usage }),
  'data: [DONE]',
]

/** Both vendors in their own wires. */
function vendors({ to, body }: Sent): Response {
  if (to === 'anthropic') return body.stream ? stream(theirEvents) : Response.json(message)
  return body.stream ? stream(chunks) : Response.json(completion)
}

const start = (options: TestGatewayOptions = {}) =>
  startGateway({ vendors: ['openai', 'anthropic'], upstream: vendors, ...options })
type Gateway = Awaited<ReturnType<typeof start>>

const send = (gateway: Gateway, fields: object = {}, init?: RequestInit) =>
  gateway.call('/v1/messages', { model: 'gpt-4o', max_tokens: 50, messages: hello, ...fields }, init)

/** A stream whose vendor says nothing for a while. */
async function answeredLate(fields: object, lines: readonly string[]) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
  const coming = Promise.withResolvers<Response>()
  const gateway = await start({ upstream: () => coming.promise })
  const answering = send(gateway, { ...fields, stream: true })
  while (gateway.sent.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await vi.advanceTimersByTimeAsync(10_100)
  const answered = textOf(await answering)
  await vi.advanceTimersByTimeAsync(13_000)
  coming.resolve(stream(lines))
  return answered
}

const textOf = async (response: Response) => readMessage(await response.text())
const ignoredIn = ({ headers }: Response) => headers.get('x-helix-ignored-params')

afterEach(() => {
  vi.useRealTimers()
})

describe('POST /v1/messages to a vendor of another wire', () => {
  it('answers with a message, and books the call', async () => {
    const gateway = await start()
    const response = await send(gateway, { system: 'Be brief.' })
    expect(await response.json()).toMatchObject({
      id: expect.stringMatching(/^msg_/),
      model: 'gpt-4o-2024-08-06',
      content: [{ type: 'text', text: 'Hello.' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 9, output_tokens: 4 },
    })
    expect(response.headers.get('request-id')).toMatch(/^req_/)
    expect(response.headers.get('x-helix-provider')).toBe('openai')
    expect(gateway.sent[0]?.body).toEqual({
      model: 'gpt-4o',
      max_completion_tokens: 50,
      messages: [{ role: 'system', content: 'Be brief.' }, ...hello],
    })
    const [row] = await gateway.rows()
    expect(row).toMatchObject({ operation: 'chat', status: 'ok', prompt_tokens: 9, completion_tokens: 4 })
  })

  it('streams events that end with the counts and the cost', async () => {
    const gateway = await start()
    const answer = await textOf(await send(gateway, { stream: true }))
    expect(answer).toMatchObject({
      start: { id: expect.stringMatching(/^msg_/), model: 'gpt-4o-2024-08-06' },
      blocks: [{ type: 'text', text: 'Hello.' }],
      stopReason: 'end_turn',
      usage: { input_tokens: 9, output_tokens: 4 },
    })
    const [row] = await gateway.rows()
    expect(answer.events.at(-2)).toMatchObject({ helix: { cost_usd: (row?.cost_nanos ?? 0) / 1e9 } })
  })

  it('says what the vendor did not get, and refuses it to a strict caller', async () => {
    const gateway = await start()
    const tools = [{ type: 'web_search_20250305', name: 'web_search' }]
    const fields = { tools, top_k: 5, container: 'c', speed: 'fast' }
    expect(ignoredIn(await send(gateway, fields))).toBe('top_k,container,tools.web_search_20250305,speed')
    const strict = await send(gateway, { tools, helix: { strict: true } })
    expect([strict.status, gateway.sent.length]).toEqual([400, 1])
    expect(await strict.json()).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining('tools.web_search_20250305') },
    })
  })

  it('tells only a model that thinks how hard to think', async () => {
    const gateway = await start()
    const thinking = { type: 'enabled', budget_tokens: 20_000 }
    const plain = await send(gateway, { thinking, max_tokens: 30_000 })
    expect(ignoredIn(plain)).toBe('thinking')
    expect(gateway.sent[0]?.body).not.toHaveProperty('reasoning_effort')
    const reasoning = await send(gateway, { thinking, max_tokens: 30_000, model: 'gpt-5' })
    expect(ignoredIn(reasoning)).toBeNull()
    expect(gateway.sent[1]?.body).toMatchObject({ reasoning_effort: 'high' })
  })

  it('asks for no more output than the model can write', async () => {
    const gateway = await start()
    await send(gateway, { max_tokens: 64_000 })
    expect(gateway.sent[0]?.body).toMatchObject({ max_completion_tokens: 16_384 })
  })

  it('cannot be asked to write nothing', async () => {
    const gateway = await start()
    const response = await send(gateway, { max_tokens: 0 })
    expect([response.status, gateway.sent.length]).toEqual([400, 0])
    const warmed = await send(gateway, { max_tokens: 0, model: 'anthropic/claude-sonnet-4-5' })
    expect([warmed.status, gateway.sent[0]?.body.max_tokens]).toEqual([200, 0])
  })

  it('passes a vendor’s own refusal on', async () => {
    const error = { message: 'Bad tool.', type: 'invalid_request_error', param: 'tools', code: null }
    const gateway = await start({ upstream: () => Response.json({ error }, { status: 400 }) })
    const response = await send(gateway)
    expect([response.status, await response.json()]).toEqual([
      400,
      {
        type: 'error',
        error: { type: 'invalid_request_error', message: 'Bad tool.' },
        request_id: response.headers.get('request-id'),
      },
    ])
  })

  it('breaks off with an error event and no end', async () => {
    const gateway = await start({ upstream: () => stream(chunks.slice(0, 1)) })
    const answer = await textOf(await send(gateway, { stream: true }))
    expect(answer).toMatchObject({ end: 'failed', error: { type: 'api_error' } })
    expect(await gateway.rows()).toMatchObject([{ status: 'error', error_code: 'provider_error' }])
  })

  it('begins while its vendor is still silent, and pings', async () => {
    const answer = await answeredLate({}, chunks)
    expect(answer).toMatchObject({ start: { model: 'gpt-4o' }, blocks: [{ text: 'Hello.' }], stopReason: 'end_turn' })
    expect(answer.pings).toBeGreaterThanOrEqual(2)
  })
})

describe('POST /v1/messages to a vendor of the same wire', () => {
  const model = 'anthropic/claude-sonnet-4-5'
  const native = {
    model,
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    tools: [{ type: 'web_search_20250305', name: 'web_search' }],
    thinking: { type: 'enabled', budget_tokens: 1024 },
    max_tokens: 2000,
    future_field: { a: 1 },
  }

  it('sends the request on as it is, and the answer back as it is', async () => {
    const gateway = await start()
    const headers = { 'anthropic-beta': 'interleaved-thinking-2025-05-14', 'x-secret': 's' }
    const response = await send(gateway, { ...native, helix: { on_disconnect: 'drain' } }, { headers })
    expect(await response.json()).toEqual(message)
    expect(ignoredIn(response)).toBeNull()
    const [sent] = gateway.sent
    expect(sent?.body).toEqual({ ...native, messages: hello, model: 'claude-sonnet-4-5', stream: false })
    expect(sent?.headers.get('anthropic-beta')).toBe('interleaved-thinking-2025-05-14')
    expect(sent?.headers.get('x-secret')).toBeNull()
    expect(await gateway.rows()).toMatchObject([
      { prompt_tokens: 10, cached_tokens: 3, cache_write_tokens: 2, completion_tokens: 4 },
    ])
  })

  it('passes the events on as they are', async () => {
    const gateway = await start()
    const response = await send(gateway, { ...native, stream: true })
    expect(await response.text()).toBe(theirEvents.map((event) => `${event}\n\n`).join(''))
    expect(await gateway.rows()).toMatchObject([{ status: 'ok', prompt_tokens: 5, completion_tokens: 4 }])
  })

  it.each([
    ['before the end', 5, { status: 'aborted', prompt_tokens: 5, estimated: true }],
    ['behind the reason', 6, { status: 'aborted', prompt_tokens: 5, completion_tokens: 4 }],
  ])('is booked with what the vendor has counted of a prompt whose caller leaves %s', async (_name, events, row) => {
    const gateway = await start({
      upstream: () => {
        const text = theirEvents.slice(0, events).map((line) => `${line}\n\n`)
        const body = new ReadableStream({ start: (one) => one.enqueue(new TextEncoder().encode(text.join(''))) })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      },
    })
    const body = { model, max_tokens: 50, messages: hello, stream: true, system: 'words '.repeat(1000) }
    const reader = (await gateway.call('/v1/messages', body)).body?.getReader()
    await reader?.read()
    await reader?.cancel()
    expect(await gateway.rows()).toMatchObject([row])
  })

  it('goes on behind a beginning of ours with the counts that only the vendor’s beginning told', async () => {
    const answer = await answeredLate(native, theirEvents)
    expect(answer).toMatchObject({
      start: { model },
      blocks: [{ text: 'Bonjour.' }],
      stopReason: 'end_turn',
      usage: { input_tokens: 5, output_tokens: 4 },
    })
  })

  it('translates a history that another wire has written', async () => {
    const gateway = await start()
    const messages = [
      ...hello,
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.', signature: '' },
          { type: 'text', text: 'Hello.' },
        ],
      },
      ...hello,
    ]
    const response = await send(gateway, { model, messages })
    expect(await response.json()).toMatchObject({ content: [{ type: 'text', text: 'Bonjour.' }] })
    expect(JSON.stringify(gateway.sent[0]?.body)).not.toContain('"thinking"')
  })

  it('gives its place to another wire without a word of its own', async () => {
    const busy = { type: 'error', error: { type: 'overloaded_error', message: 'Busy.' } }
    const gateway = await start({
      upstream: (sent) => (sent.to === 'anthropic' ? Response.json(busy, { status: 529 }) : vendors(sent)),
    })
    const headers = { 'anthropic-beta': 'interleaved-thinking-2025-05-14' }
    const response = await send(gateway, { ...native, helix: { fallback_models: ['gpt-4o'] } }, { headers })
    expect(await response.json()).toMatchObject({ model: 'gpt-4o-2024-08-06' })
    expect(ignoredIn(response)).toBe('future_field,tools.web_search_20250305,thinking')
    const last = gateway.sent.at(-1)
    expect([last?.to, last?.headers.get('anthropic-beta')]).toEqual(['openai', null])
    expect(JSON.stringify(last?.body)).not.toMatch(/cache_control|web_search|future_field/)
  })

  it('is refused under a hard budget where nobody knows how much it reads', async () => {
    const budget = { id: 'bud_1', window: 'total' as const, limitNanoUsd: 1e12 }
    const gateway = await start({ policy: { budgets: [budget] } })
    const refused = await send(gateway, native)
    expect([refused.status, gateway.sent.length]).toEqual([400, 0])
    const { tools: _tools, ...rest } = native
    expect((await send(gateway, rest)).status).toBe(200)
  })
})

describe('an Anthropic client', () => {
  it.each([
    ['more faults than can be put together', 390_000, /too much of it is wrong|more\)$/],
    ['more values than are read', 400_002, /^The body has more than 400000 values/],
  ])('is told what is wrong with a body of %s', async (_name, values, words) => {
    const gateway = await start()
    const content = Array.from({ length: values }, () => 1)
    const refused = await send(gateway, { messages: [{ role: 'user', content }] })
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({
      error: { type: 'invalid_request_error', message: expect.stringMatching(words) },
    })
  })

  it('may show its key as it does to Anthropic', async () => {
    const gateway = await start()
    const request = (headers: Record<string, string>) =>
      new Request('https://gateway.test/v1/messages', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ model: 'gpt-4o', max_tokens: 5, messages: hello }),
      })
    expect((await gateway.gateway(request({ 'x-api-key': gateway.apiKey }))).status).toBe(200)
    const refused = await gateway.gateway(request({ 'x-api-key': 'sk-ant-theirs' }))
    expect([refused.status, await refused.json()]).toMatchObject([401, { error: { type: 'authentication_error' } }])
  })

  it.each([
    [{ max_tokens: undefined }, 'max_tokens: required'],
    [{ messages: [{ role: 'user', content: [{ type: 'image' }] }] }, 'messages[0].content[0].source'],
    [{ temperature: 2 }, 'temperature'],
  ])('is told which field is wrong in %j', async (fields, words) => {
    const response = await send(await start(), fields)
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { type: 'error', error: { type: 'invalid_request_error', message: expect.stringContaining(words) } },
    ])
  })
})
