import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { minimalExample } from './schema.ts'
import { directivesIn, parseScript } from './script.ts'
import { type FakeVendor, startFakeVendor } from './server.ts'
import { countTokens, englishPieces, piecesOf } from './words.ts'

let vendor: FakeVendor
let client: OpenAI
beforeAll(async () => {
  vendor = await startFakeVendor()
  client = new OpenAI({ apiKey: 'sk-fake-1', baseURL: vendor.url, maxRetries: 0 })
})
beforeEach(() => vendor.reset())
afterAll(() => vendor.close())

const says = (text: string) => [{ role: 'user' as const, content: text }]
const post = (path: string, body: unknown, init: RequestInit = {}) =>
  fetch(`${vendor.url}${path}`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-fake-1' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  })
const chat = (text: string, extra: object = {}, init: RequestInit = {}) =>
  post('/chat/completions', { model: 'gpt-4o', messages: says(text), user: 'm1', ...extra }, init)
const stream = (text: string, extra: object = {}) => chat(text, { stream: true, ...extra })
const row = () => vendor.truth()[0]
const eventsIn = (text: string) => text.split('\n\n').filter((event) => event.startsWith('data: '))

/** The text of a body up to where it ended or broke, and whether it broke. */
async function readToEnd(response: Response): Promise<{ text: string; broke: boolean }> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true })
    return { text, broke: false }
  } catch {
    return { text, broke: true }
  }
}

describe('a plain answer', () => {
  it('is one that the official client reads, and its bill is the truth', async () => {
    const answer = await client.chat.completions.create({ model: 'gpt-4o', messages: says('Hello there'), user: 'm1' })
    expect(answer.choices[0]).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant' } })
    expect(answer.usage).toMatchObject({ prompt_tokens: 3 + 4 + 2, completion_tokens: 16, total_tokens: 25 })
    expect(row()).toMatchObject({
      marker: 'm1',
      prompt: 9,
      completion: 16,
      pieces: 16,
      text: answer.choices[0]?.message.content,
      usageReported: true,
      finished: true,
      clientLeft: false,
      status: 200,
    })
    expect(vendor.totals()).toEqual({ prompt: 9, completion: 16, calls: 1 })
  })

  it('depends on the prompt alone', async () => {
    const [first, again, other] = await Promise.all(['a', 'a', 'b'].map(async (text) => (await chat(text)).text()))
    expect(first).toBe(again)
    expect(first).not.toBe(other)
  })

  it('streams the same text, one piece an event, and its usage when asked', async () => {
    const whole = await client.chat.completions.create({ model: 'gpt-4o', messages: says('Hello') })
    const chunks = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: says('Hello'),
      stream: true,
      stream_options: { include_usage: true },
    })
    const seen = []
    for await (const chunk of chunks) seen.push(chunk)
    expect(seen.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(whole.choices[0]?.message.content)
    expect(seen[0]?.choices[0]?.delta.role).toBe('assistant')
    expect(seen.filter((chunk) => chunk.choices[0]?.delta.content)).toHaveLength(16)
    expect(seen.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(seen.at(-1)).toMatchObject({ choices: [], usage: whole.usage })
    expect(seen.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true)
    expect(vendor.truth()[1]).toMatchObject({ completion: 16, usageReported: true, finished: true })
  })

  it('keeps its usage to itself in a stream that did not ask', async () => {
    const { text } = await readToEnd(await stream('Hello'))
    expect(text).not.toContain('usage')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(row()).toMatchObject({ completion: 16, usageReported: false })
  })

  it.each(['max_tokens', 'max_completion_tokens'])('honours %s', async (field) => {
    const answer = await (await chat('Hello', { [field]: 5 })).json()
    expect(answer).toMatchObject({ choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 5 } })
    expect(eventsIn((await readToEnd(await stream('Hello', { [field]: 5 }))).text)).toHaveLength(1 + 5 + 2)
  })

  it('gives n choices, which a stream interleaves', async () => {
    const answer = await client.chat.completions.create({ model: 'gpt-4o', messages: says('Hello'), n: 3 })
    const texts = answer.choices.map(({ message }) => message.content)
    expect([new Set(texts).size, answer.usage?.completion_tokens]).toEqual([3, 48])
    const { text } = await readToEnd(await stream('Hello', { n: 3 }))
    const indices = eventsIn(text)
      .slice(3, 9)
      .map((event) => JSON.parse(event.slice(6)).choices[0].index)
    expect(indices).toEqual([0, 1, 2, 0, 1, 2])
    expect(vendor.truth()[1]).toMatchObject({ completion: 48, texts })
  })

  it('is given to legacy completions', async () => {
    const answer = await client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'Once upon', user: 'm2' })
    const chunks = await client.completions.create({
      model: 'gpt-3.5-turbo-instruct',
      prompt: 'Once upon',
      stream: true,
    })
    let text = ''
    for await (const chunk of chunks) text += chunk.choices[0]?.text ?? ''
    expect(text).toBe(answer.choices[0]?.text)
    expect(answer.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 16 })
    expect(row()).toMatchObject({ marker: 'm2', endpoint: 'completions', prompt: 2, completion: 16 })
  })

  it('lists models', async () => {
    const listed = await client.models.list()
    expect(listed.data.map(({ id }) => id)).toContain('gpt-4o-mini')
    expect(await client.models.retrieve('gpt-4o')).toMatchObject({ id: 'gpt-4o' })
    expect(vendor.requests()).toBe(0)
  })

  it('is one token a piece, in English', () => {
    for (const seed of [0, 1, 77]) {
      const pieces = englishPieces(seed, 200)
      expect(pieces.every((piece) => countTokens(piece) === 1)).toBe(true)
      expect(countTokens(pieces.join(''))).toBe(200)
    }
    expect(piecesOf('{"a b":12345}').join('')).toBe('{"a b":12345}')
    expect([countTokens(''), countTokens('internationalisation'), countTokens('1234'), countTokens('a1')]).toEqual([
      0, 2, 2, 2,
    ])
  })
})

describe('embeddings', () => {
  it('are the same unit vectors in both formats', async () => {
    const request = { model: 'text-embedding-3-small', input: ['first text', 'second'] }
    const asBase64 = await client.embeddings.create(request)
    const asFloat = await client.embeddings.create({ ...request, encoding_format: 'float' })
    expect(asFloat.data.map(({ embedding }) => embedding.length)).toEqual([1536, 1536])
    for (const [index, { embedding }] of asFloat.data.entries()) {
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5)
      expect([...Float32Array.from(embedding)]).toEqual([...Float32Array.from(asBase64.data[index]?.embedding ?? [])])
    }
    expect(asFloat.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 })
    expect(row()).toMatchObject({ endpoint: 'embeddings', prompt: 3, completion: 0 })
  })

  it('have the size that was asked for, from tokens too', async () => {
    const answer = await (
      await post('/embeddings', { model: 'text-embedding-3-large', input: [1, 2, 3], dimensions: 8 })
    ).json()
    expect(answer).toMatchObject({ data: [{ index: 0 }], usage: { prompt_tokens: 3 } })
    expect(
      JSON.stringify(answer)
        .match(/"embedding":\[([^\]]*)/)?.[1]
        ?.split(','),
    ).toHaveLength(8)
  })

  it('obey directives in their input', async () => {
    expect((await post('/embeddings', { model: 'e', input: ['a', 'fault:status=503'] })).status).toBe(503)
    const broken = await readToEnd(await post('/embeddings', { model: 'e', input: 'fault:cut=1' }))
    expect(broken.broke).toBe(true)
  })
})

describe('tools and schemas', () => {
  const tool = (name: string, parameters: object = {}) => ({ type: 'function', function: { name, parameters } })
  const weather = tool('weather', {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  })
  const clock = tool('clock', { type: 'object', properties: {} })

  it('calls all tools in parallel when told to', async () => {
    const answer = await (await chat('fault:tools', { tools: [weather, clock] })).json()
    expect(answer).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            content: null,
            tool_calls: [
              { type: 'function', function: { name: 'weather', arguments: '{"city":"word","days":0}' } },
              { function: { name: 'clock', arguments: '{}' } },
            ],
          },
        },
      ],
    })
  })

  it('streams calls in interleaved fragments that add up', async () => {
    const chunks = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: says('fault:tools'),
      tools: [weather, { type: 'custom', custom: { name: 'shell' } }] as OpenAI.ChatCompletionTool[],
      stream: true,
    })
    const calls: { id: string | undefined; input: string }[] = []
    const order: number[] = []
    for await (const chunk of chunks) {
      for (const { index, id, function: called, ...rest } of chunk.choices[0]?.delta.tool_calls ?? []) {
        const input = called?.arguments ?? JSON.parse(JSON.stringify(rest)).custom?.input ?? ''
        const before = calls[index] ?? { id, input: '' }
        calls[index] = { ...before, input: before.input + input }
        order.push(index)
      }
    }
    expect(calls).toEqual([
      { id: 'call_0weather', input: '{"city":"word","days":0}' },
      { id: 'call_1shell', input: 'custom input' },
    ])
    expect(order.slice(0, 4)).toEqual([0, 1, 0, 1])
    expect(row()?.completion).toBe(order.length)
  })

  it.each([
    ['none', 'fault:tools', []],
    ['auto', 'Hello', []],
    ['required', 'Hello', ['weather']],
    [{ type: 'function', function: { name: 'clock' } }, 'Hello', ['clock']],
  ])('honours tool_choice %j for %j', async (choice, text, names) => {
    const answer = await (await chat(text, { tools: [weather, clock], tool_choice: choice })).text()
    expect([...answer.matchAll(/"name":"(\w+)"/g)].map(([, name]) => name)).toEqual(names)
  })

  it('calls one tool once when parallel calls are off, and twice otherwise', async () => {
    const names = async (extra: object) =>
      (await (await chat('fault:tools', { tools: [clock], ...extra })).text()).match(/"clock"/g)
    expect(await names({})).toHaveLength(2)
    expect(await names({ parallel_tool_calls: false })).toHaveLength(1)
  })

  it('answers with JSON that fits the schema', async () => {
    const schema = {
      type: 'object',
      properties: {
        kind: { enum: ['a', 'b'] },
        items: { type: 'array', items: { $ref: '#/$defs/item' }, minItems: 1 },
      },
      required: ['kind', 'items'],
      $defs: { item: { type: 'object', properties: { n: { type: 'number', minimum: 3 } }, required: ['n'] } },
    }
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } }
    const { text } = await readToEnd(await stream('fault:schema', { response_format: format }))
    const content = eventsIn(text)
      .slice(0, -1)
      .map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '')
      .join('')
    expect(JSON.parse(content)).toEqual({ kind: 'a', items: [{ n: 3 }] })
    expect(row()?.text).toBe(content)
  })

  it.each([
    [{ type: ['null', 'string'] }, null],
    [{ const: 7 }, 7],
    [{ anyOf: [{ type: 'boolean' }, { type: 'null' }] }, false],
    [{ type: 'integer', exclusiveMinimum: 4 }, 5],
    [{ type: 'integer', minimum: 4, multipleOf: 5 }, 5],
    [{ type: 'string', format: 'date' }, '2026-01-01'],
    [{ type: 'string', minLength: 12 }, 'word word wo'],
    [{ $ref: '#' }, null],
    [{}, {}],
  ])('makes the smallest value of %j', (schema, value) => {
    expect(minimalExample(schema)).toEqual(value)
  })
})

describe('a refusal', () => {
  it.each([
    [{ messages: says('a') }, 'model', 'Missing required parameter'],
    [{ model: 'gpt-4o' }, 'messages', 'Missing required parameter'],
    [{ model: 'gpt-4o', messages: [] }, 'messages', 'Invalid value'],
    [{ model: 'gpt-4o', messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role', 'Invalid value'],
    [{ model: 'gpt-4o', messages: [{ role: 'user', content: null }] }, 'messages[0].content', 'Invalid value'],
    [
      { model: 'gpt-4o', messages: [{ role: 'tool', content: 'x', tool_call_id: 'c' }] },
      'messages[0].role',
      'tool_calls',
    ],
    [{ model: 'gpt-4o', messages: says('a'), temperature: 3 }, 'temperature', 'Invalid value'],
    [{ model: 'gpt-4o', messages: says('a'), max_tokens: 0 }, 'max_tokens', 'Invalid value'],
    [{ model: 'gpt-4o', messages: says('a'), max_tokens: 1, max_completion_tokens: 1 }, 'max_tokens', 'same time'],
    [{ model: 'gpt-4o', messages: says('a'), stream_options: {} }, 'stream_options', 'only allowed'],
    [{ model: 'gpt-4o', messages: says('a'), tool_choice: 'auto' }, 'tool_choice', 'only allowed'],
    [{ model: 'gpt-4o', messages: says('a'), helix: {} }, null, 'Unrecognized request argument supplied: helix'],
  ])('of %j names the parameter %s', async (body, param, message) => {
    const response = await post('/chat/completions', body)
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { type: 'invalid_request_error', param } },
    ])
    expect(JSON.stringify(await (await post('/chat/completions', body)).json())).toContain(message)
    expect(vendor.totals()).toEqual({ prompt: 0, completion: 0, calls: 0 })
  })

  it('answers what is no JSON, no path, no model, no key and no known directive', async () => {
    const noKey = { headers: { authorization: 'Bearer sk-real' } }
    const statuses = [
      (await post('/chat/completions', '{')).status,
      (await post('/nowhere', {})).status,
      (await chat('a', { model: 'no-such-model' })).status,
      (await chat('a', {}, noKey)).status,
      (await chat('fault:htlm200')).status,
    ]
    expect(statuses).toEqual([400, 404, 404, 401, 500])
  })

  it('lets through fields that it does not know', async () => {
    expect((await chat('a', { made_up: 1 })).status).toBe(200)
    expect(vendor.lastBody()).toMatchObject({ made_up: 1 })
    expect(vendor.lastHeaders()).toMatchObject({ authorization: 'Bearer sk-fake-1' })
  })
})

describe('a fault before the answer', () => {
  it.each([400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 503, 529])(
    'is status %i in OpenAI’s shape',
    async (status) => {
      const response = await stream(`Hello fault:status=${status}`)
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ error: { message: expect.any(String), type: expect.any(String) } })
      expect(row()).toMatchObject({ status, prompt: 0, completion: 0, fault: `status=${status}` })
    },
  )

  it('is a proxy’s page for 502 and a wait for 429', async () => {
    expect((await chat('fault:status=502')).headers.get('content-type')).toBe('text/html')
    expect((await chat('fault:status=429,retry-after=7')).headers.get('retry-after')).toBe('7')
  })

  it('is an HTML page, or nothing, with status 200', async () => {
    expect(await (await stream('fault:html200')).text()).toMatch(/^<!DOCTYPE html>/)
    expect(await (await stream('fault:empty200')).text()).toBe('')
    expect(vendor.totals().calls).toBe(0)
  })

  it('is a connection that breaks', async () => {
    await expect(chat('fault:reset')).rejects.toThrow()
    expect(row()).toMatchObject({ status: 0, completion: 0, clientLeft: false })
  })

  it('is silence until the client leaves', async () => {
    const controller = new AbortController()
    const asking = chat('fault:hang', {}, { signal: controller.signal })
    await vi.waitFor(() => expect(vendor.requests()).toBe(1))
    controller.abort()
    await expect(asking).rejects.toThrow()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()).toMatchObject({ status: 0, prompt: 0, clientLeft: true })
  })

  it('is a delay', async () => {
    const startedMs = performance.now()
    await (await chat('fault:delay=60')).text()
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(59)
  })

  it('ends after so many times', async () => {
    const statuses = []
    for (let count = 0; count < 4; count += 1) statuses.push((await chat('fault:status=500,times=2')).status)
    expect(statuses).toEqual([500, 500, 200, 200])
  })

  it('can stand for every request, or be in the name of a model', async () => {
    vendor.always('status=503')
    expect([(await chat('a')).status, (await chat('fault:status=429')).status]).toEqual([503, 429])
    vendor.always(undefined)
    expect([(await chat('a')).status, (await chat('a', { model: 'gpt-4o-fault:status=418' })).status]).toEqual([
      200, 418,
    ])
  })
})

describe('a fault inside a stream', () => {
  const deltas = (text: string) =>
    eventsIn(text.replaceAll('\r', '')).filter((event) => event.includes('"content":"') && !event.includes('"role"'))
      .length

  it.each([0, 1, 5])('cuts the connection after %i pieces', async (count) => {
    const { text, broke } = await readToEnd(await stream(`fault:cut=${count}`))
    expect([broke, deltas(text), text.includes('[DONE]')]).toEqual([true, count, false])
    expect(row()).toMatchObject({ completion: count, pieces: count, clientLeft: false, finished: false })
  })

  it('ends cleanly but too soon', async () => {
    const { text, broke } = await readToEnd(await stream('fault:eof=3'))
    expect([broke, deltas(text), text.includes('finish_reason":"stop')]).toEqual([false, 3, false])
    expect(row()).toMatchObject({ completion: 3, finished: false })
  })

  it('breaks its JSON', async () => {
    const { text } = await readToEnd(await stream('fault:malformed=2'))
    expect(() => JSON.parse(eventsIn(text).at(-1)?.slice(6) ?? '')).toThrow()
    expect(row()?.completion).toBe(2)
  })

  it('reports an error', async () => {
    const { text } = await readToEnd(await stream('fault:errorevent=2'))
    expect(JSON.parse(eventsIn(text).at(-1)?.slice(6) ?? '')).toMatchObject({ error: { type: 'server_error' } })
    expect(row()?.completion).toBe(2)
  })

  it.each([1, 100, 1000])('cuts the connection after %i bytes', async (count) => {
    const { text, broke } = await readToEnd(await stream(`fault:cutbytes=${count}`))
    expect([broke, text.length]).toEqual([true, count])
  })

  it('falls silent until the client leaves, and knows after how many pieces', async () => {
    const response = await stream('fault:hang-after=3')
    const reader = response.body?.getReader()
    let text = ''
    while (deltas(text) < 3) text += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()).toMatchObject({ completion: 3, clientLeft: true, finished: false })
    expect(text).toContain(JSON.stringify(row()?.text.split(' ').at(-1)).slice(1, -1))
  })

  it('bills a long answer only as far as the client read', async () => {
    const response = await stream('fault:pieces=20000,slow=1')
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()?.completion).toBeLessThan(20_000)
    expect(row()?.completion).toBe(row()?.pieces)
  })

  it('writes as many pieces as it is told', async () => {
    const { text } = await readToEnd(await stream('fault:pieces=200'))
    expect([deltas(text), row()?.completion]).toEqual([200, 200])
  })

  it('paces its pieces', async () => {
    const startedMs = performance.now()
    await readToEnd(await stream('fault:pieces=5,slow=15'))
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(70)
  })

  it('speaks in CRLF, comments and single bytes and says the same', async () => {
    const { text } = await readToEnd(
      await stream('fault:crlf,comments,bytesplit,pieces=4', { stream_options: { include_usage: true } }),
    )
    expect(text).not.toMatch(/[^\r]\n/)
    expect(text.match(/^: keep-alive\r$/gm)).toHaveLength(1 + 4 + 1)
    expect([deltas(text), row()?.completion, row()?.usageReported]).toEqual([4, 4, true])
  })

  it('keeps silent about usage, claims another, or names another model', async () => {
    const usage = { stream_options: { include_usage: true } }
    expect((await readToEnd(await stream('fault:nousage', usage))).text).not.toContain('usage')
    expect(await (await chat('fault:nousage')).json()).not.toHaveProperty('usage')
    expect((await readToEnd(await stream('fault:usage=10/20', usage))).text).toContain('"total_tokens":30')
    expect(await (await chat('fault:wrongmodel')).json()).toMatchObject({ model: 'gpt-3.5-turbo-0125' })
    expect(vendor.truth().map(({ prompt, completion, usageReported }) => [prompt, completion, usageReported])).toEqual([
      [expect.any(Number), 16, false],
      [expect.any(Number), 16, false],
      [10, 20, true],
      [expect.any(Number), 16, true],
    ])
  })

  it('replays recorded bytes', async () => {
    const folder = join(import.meta.dirname, '../fixtures/streams')
    const name = `fake-vendor-${process.pid}.txt`
    const bytes = 'data: {"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, name), bytes)
    try {
      expect((await readToEnd(await stream(`fault:replay=${name}`))).text).toBe(bytes)
      expect(row()).toMatchObject({ prompt: 4, completion: 2, usageReported: true, finished: true })
    } finally {
      await rm(join(folder, name))
    }
  })
})

describe('a fault inside a whole answer', () => {
  it.each([
    ['cut=4', true],
    ['cutbytes=50', true],
    ['eof=4', false],
    ['malformed=4', false],
  ])('leaves half a body: %s', async (fault, breaks) => {
    const { text, broke } = await readToEnd(await chat(`fault:${fault}`))
    expect(broke).toBe(breaks)
    expect(text.startsWith('{"id"')).toBe(true)
    expect(() => JSON.parse(text)).toThrow()
  })

  it('is an error with status 200', async () => {
    const response = await chat('fault:errorevent=0')
    expect([response.status, await response.json()]).toMatchObject([200, { error: { type: 'server_error' } }])
  })
})

describe('directives', () => {
  it.each([
    ['Please fault:cut=3,slow=2 now', 'cut=3,slow=2'],
    ['Do fault:html200.', 'html200'],
    ['first fault:cut=1 then fault:cut=2', 'cut=2'],
    ['no fault here', undefined],
  ])('are found in %j', (text, directives) => {
    expect(directivesIn(text)).toBe(directives)
  })

  it.each(['', 'cut', 'cut=', 'cut=x', 'html200=1', 'usage=1', 'replay=../x', 'cut=1,,slow=1', 'nothing'])(
    'are refused: %j',
    (source) => {
      expect(() => parseScript(source)).toThrow('unknown directive')
    },
  )

  it('count only in the last user message', async () => {
    const messages = [...says('fault:status=500'), { role: 'assistant', content: 'no' }, ...says('again')]
    expect((await chat('', { messages })).status).toBe(200)
    const parts = [{ role: 'user', content: [{ type: 'text', text: 'fault:status=500' }] }]
    expect((await chat('', { messages: parts })).status).toBe(500)
  })
})

describe('the marker', () => {
  it('is metadata.marker, else user, else missing', async () => {
    await chat('a', { metadata: { marker: 'm9' } })
    await chat('a')
    await chat('a', { user: undefined })
    expect(vendor.truth().map(({ marker }) => marker)).toEqual(['m9', 'm1', undefined])
  })
})

describe('a vendor that runs as a process of its own', () => {
  it('prints its address, tells the truth over HTTP and ends on SIGTERM', async () => {
    const child = spawn(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, 'run.ts'),
      '--port',
      '0',
    ])
    try {
      const [line] = await once(child.stdout, 'data')
      const { url } = JSON.parse(String(line))
      const root = url.replace('/v1', '')
      const headers = { authorization: 'Bearer sk-fake-1' }
      const ask = () =>
        fetch(`${url}/chat/completions`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ model: 'g', messages: says('a') }),
        })
      await (await ask()).text()
      const before = await (await fetch(`${root}/__truth`)).json()
      expect(before).toMatchObject({
        requests: 1,
        aborted: 0,
        totals: { calls: 1, completion: 16 },
        rows: [{ pieces: 16 }],
      })
      await fetch(`${root}/__always?directives=status=503`, { method: 'POST' })
      expect((await ask()).status).toBe(503)
      await fetch(`${root}/__reset`, { method: 'POST' })
      expect(await (await fetch(`${root}/__truth?totals`)).json()).toEqual({
        requests: 0,
        aborted: 0,
        totals: { prompt: 0, completion: 0, calls: 0 },
      })
    } finally {
      child.kill('SIGTERM')
    }
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
