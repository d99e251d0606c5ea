import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { askerOf, eventsIn, readToEnd, says } from './ask.ts'
import { startFakeVendor } from './server.ts'
import { countTokens, englishPieces, piecesOf } from './words.ts'

const vendor = await startFakeVendor()
const { client, post, chat, stream } = askerOf(vendor)
beforeEach(() => vendor.reset())
afterAll(() => vendor.close())

const row = () => vendor.truth()[0]

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

describe('the marker', () => {
  it('is metadata.marker, else user, else missing', async () => {
    await chat('a', { metadata: { marker: 'm9' } })
    await chat('a')
    await chat('a', { user: undefined })
    expect(vendor.truth().map(({ marker }) => marker)).toEqual(['m9', 'm1', undefined])
  })
})
