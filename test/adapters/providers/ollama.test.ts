import { describe, expect, it } from 'vitest'
import { createOllama } from '../../../src/adapters/providers/ollama.ts'
import type { ChatBody } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { callOf, decode, decoderOf, json, readAll, scripted, textOf, timeouts, upstreamFailure } from './support.ts'

const node = (outbound: Outbound, nodeToken?: string) =>
  createOllama({ name: 'node', baseUrl: 'http://127.0.0.1:11434/', nodeToken, outbound, timeouts })

const line = (message: Record<string, unknown>, extra: Record<string, unknown> = {}) => ({
  model: 'llama3.1:8b',
  created_at: '2026-08-22T10:15:00.5Z',
  message: { role: 'assistant', content: '', ...message },
  done: false,
  ...extra,
})
const done = { done: true, done_reason: 'stop', prompt_eval_count: 26, eval_count: 9, total_duration: 1_894_561_234 }

const run = (...lines: unknown[]) => {
  const text = lines.map((entry) => `${typeof entry === 'string' ? entry : JSON.stringify(entry)}\n`).join('')
  return decode(decoderOf('ollama'), [new TextEncoder().encode(text)])
}

async function chat(response: () => Response, body: Partial<ChatBody> = {}) {
  const script = scripted(response)
  return { answer: await node(script.outbound, 'node-token').chat(callOf(body)), ...script }
}

describe('a node’s whole answer', () => {
  it('goes out to the native route with the token, and comes back in OpenAI’s shape', async () => {
    const { answer, requests, sent } = await chat(() => json({ ...line({ content: 'Hi', thinking: 'hm' }), ...done }), {
      n: 2,
    })
    expect(requests[0]).toMatchObject({
      url: 'http://127.0.0.1:11434/api/chat',
      purpose: 'node',
      headers: { authorization: 'Bearer node-token' },
    })
    expect(sent()).toMatchObject({ model: 'upstream-model', stream: false, options: { num_ctx: 8192 } })
    expect(answer).toEqual({
      kind: 'whole',
      ignored: ['n'],
      usage: { prompt: 26, cached: 0, cacheWrite: 0, completion: 9, reasoning: 0 },
      completion: {
        id: expect.stringMatching(/^chatcmpl-/),
        object: 'chat.completion',
        created: 1_787_393_700,
        model: 'llama3.1:8b',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Hi', reasoning_content: 'hm' },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: { prompt_tokens: 26, completion_tokens: 9, total_tokens: 35 },
      },
    })
  })

  it('reports tool calls with ids and JSON text, whatever the done reason says', async () => {
    const tool_calls = [{ function: { name: 'f', arguments: { a: [1] } } }, { id: 'call_9', function: { name: 'g' } }]
    const { answer } = await chat(() => json({ ...line({ tool_calls }), ...done }))
    expect(answer).toMatchObject({
      completion: {
        choices: [
          {
            finish_reason: 'tool_calls',
            message: {
              content: null,
              tool_calls: [
                {
                  id: expect.stringMatching(/^call_/),
                  type: 'function',
                  function: { name: 'f', arguments: '{"a":[1]}' },
                },
                { id: 'call_9', type: 'function', function: { name: 'g', arguments: '{}' } },
              ],
            },
          },
        ],
      },
    })
  })

  it('without a prompt count has no usage at all', async () => {
    const { answer } = await chat(() => json({ ...line({ content: 'Hi' }), ...done, prompt_eval_count: undefined }))
    expect(answer).toMatchObject({ usage: undefined, completion: { usage: null } })
  })

  it('sends no credentials to a node without a token', async () => {
    const { outbound, requests } = scripted(() => json({ ...line({}), ...done }))
    await node(outbound).chat(callOf())
    expect(requests[0]?.headers).not.toHaveProperty('authorization')
  })

  it.each([
    [
      'a missing model',
      json({ error: "model 'x' not found" }, { status: 404 }),
      { fault: 'status', status: 404, vendor: { message: "model 'x' not found" } },
    ],
    [
      'an error in a 200',
      json({ error: 'out of memory' }),
      { fault: 'reported', vendor: { message: 'out of memory' } },
    ],
    ['another wire', json({ choices: [] }), { fault: 'garbage' }],
    ['a login page', new Response('<html></html>'), { fault: 'garbage' }],
  ])('fails for %s', async (_name, response, expected) => {
    expect(await upstreamFailure(chat(() => response))).toMatchObject(expected)
  })
})

describe('a node’s stream', () => {
  it('opens with the role, keeps one head and ends with the counts', async () => {
    const body = [line({ content: 'He' }), line({ content: 'y' }), { ...line({}), ...done }].map(
      (entry) => `${JSON.stringify(entry)}\n`,
    )
    const { answer } = await chat(() => new Response(body.join('')), { stream: true })
    if (answer.kind !== 'stream') throw new Error('no stream')
    const { parts, failure } = await readAll(answer.stream)
    expect([failure, textOf(parts)]).toEqual([undefined, 'Hey'])
    expect(parts.map(({ chunk }) => chunk.choices[0]?.finish_reason)).toEqual([null, null, 'stop', undefined])
    expect(parts[0]?.chunk.choices[0]?.delta).toEqual({ role: 'assistant', content: 'He' })
    expect(parts.at(-1)?.chunk).toMatchObject({
      model: 'llama3.1:8b',
      created: 1_787_393_700,
      choices: [],
      usage: { prompt_tokens: 26, completion_tokens: 9, total_tokens: 35 },
    })
  })

  it('numbers tool calls over all lines', () => {
    const call = (name: string) => ({ function: { index: 0, name, arguments: {} } })
    const { parts } = run(line({ tool_calls: [call('a'), call('b')] }), line({ tool_calls: [call('c')] }), {
      ...line({}),
      ...done,
    })
    const fragments = parts.flatMap(({ chunk }) => chunk.choices[0]?.delta.tool_calls ?? [])
    expect(fragments.map(({ index, function: called }) => [index, called?.name])).toEqual([
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
    ])
  })

  it.each([
    ['length', 'length'],
    ['load', 'stop'],
    ['unload', 'stop'],
    [undefined, 'stop'],
  ])('that is done by %j finishes with %s', (reason, expected) => {
    const { parts } = run({ ...line({}), ...done, done_reason: reason })
    expect(parts.flatMap(({ chunk }) => chunk.choices.flatMap((choice) => choice.finish_reason ?? []))).toEqual([
      expected,
    ])
  })

  it('carries log probabilities with their bytes', () => {
    const logprobs = [{ token: 'é', logprob: -0.5, top_logprobs: [{ token: 'e', logprob: -2, bytes: [101] }] }]
    expect(run(line({ content: 'é' }, { logprobs })).parts[0]?.chunk.choices[0]?.logprobs).toEqual({
      content: [
        { token: 'é', logprob: -0.5, bytes: [195, 169], top_logprobs: [{ token: 'e', logprob: -2, bytes: [101] }] },
      ],
      refusal: null,
    })
  })

  it.each([
    [
      'an error line',
      { error: 'llama runner terminated' },
      { fault: 'reported', vendor: { message: 'llama runner terminated' } },
    ],
    ['half a line', '{"message":', { fault: 'garbage' }],
    ['another wire', { choices: [] }, { fault: 'garbage' }],
  ])('is broken by %s, after what came before', (_name, bad, expected) => {
    const { parts, failure } = run(line({ content: 'Hi' }), bad)
    expect(failure).toMatchObject(expected)
    expect(textOf(parts)).toBe('Hi')
  })

  it('is cut without its last line', () => {
    expect(run(line({ content: 'Hi' })).failure).toMatchObject({ fault: 'cut' })
    expect(run().failure).toMatchObject({ fault: 'cut' })
  })
})

describe('a node’s embeddings', () => {
  const embed = (input: string | string[] | number[], answer: (texts: string[]) => unknown) => {
    const script = scripted((request) => json(answer(JSON.parse(String(request.body)).input)))
    return {
      ...script,
      work: node(script.outbound).embed({ ...callOf(), body: { model: 'asked', input, dimensions: 8, user: 'u' } }),
    }
  }

  it('are refused when fields would be lost to a caller who wants all or nothing', async () => {
    const { outbound, requests } = scripted(() => json({ embeddings: [[1]] }))
    const call = { ...callOf(), strict: true, body: { model: 'asked', input: 'a', user: 'u' } }
    expect(await upstreamFailure(node(outbound).embed(call))).toMatchObject({ status: 400, vendor: { param: 'user' } })
    expect(requests).toEqual([])
  })

  it('are made in batches of 64 and come back in order', async () => {
    const texts = Array.from({ length: 130 }, (_, position) => String(position))
    const { work, requests, sent } = embed(texts, (batch) => ({
      embeddings: batch.map((text) => [Number(text)]),
      prompt_eval_count: batch.length,
    }))
    expect(await work).toEqual({ vectors: texts.map((text) => [Number(text)]), promptTokens: 130, ignored: ['user'] })
    expect(requests.map(({ url }) => url)).toEqual(Array(3).fill('http://127.0.0.1:11434/api/embed'))
    expect(sent()).toEqual({ model: 'upstream-model', input: ['128', '129'], truncate: false, dimensions: 8 })
  })

  it('count nothing when the node does not', async () => {
    expect(await embed('a', () => ({ embeddings: [[1]] })).work).toMatchObject({
      vectors: [[1]],
      promptTokens: undefined,
    })
  })

  it('refuse token numbers and miscounted answers', async () => {
    expect(await upstreamFailure(embed([1, 2], () => ({})).work)).toMatchObject({
      status: 400,
      vendor: { param: 'input' },
    })
    expect(await upstreamFailure(embed(['a', 'b'], () => ({ embeddings: [[1]] })).work)).toMatchObject({
      fault: 'garbage',
    })
    expect(await upstreamFailure(embed(['a'], () => ({ embeddings: [['x']] })).work)).toMatchObject({
      fault: 'garbage',
    })
  })
})

describe('a node’s models', () => {
  const answers: Record<string, unknown> = {
    '/api/tags': {
      models: [
        { name: 'new:latest', details: { context_length: 4096 }, capabilities: ['completion', 'tools'] },
        { name: 'old:7b', details: {} },
      ],
    },
    '/api/show': { capabilities: ['completion'], model_info: { 'llama.context_length': 2048, 'llama.block_count': 2 } },
    '/api/chat': { ...line({ content: 'Hi' }), ...done },
  }
  const pathOf = (url: string) => new URL(url).pathname

  it('are shown one by one only where the list tells too little', async () => {
    const { outbound, requests } = scripted(({ url }) => json(answers[pathOf(url)]))
    expect(await node(outbound).listModels(new AbortController().signal)).toEqual([
      { name: 'new:latest', capabilities: ['completion', 'tools'], contextWindow: 4096 },
      { name: 'old:7b', capabilities: ['completion'], contextWindow: 2048 },
    ])
    expect(requests.map(({ url, method }) => [pathOf(url), method])).toEqual([
      ['/api/tags', 'GET'],
      ['/api/show', 'POST'],
    ])
  })

  it('are still listed when they cannot be shown', async () => {
    const { outbound } = scripted(({ url }) =>
      pathOf(url) === '/api/tags' ? json(answers['/api/tags']) : json({}, { status: 500 }),
    )
    const models = await node(outbound).listModels(new AbortController().signal)
    expect(models[1]).toEqual({ name: 'old:7b', capabilities: undefined, contextWindow: undefined })
  })

  it('are as many as a node can have, and shown a few at a time, whatever it says', async () => {
    const long = { name: 'x'.repeat(256) }
    const models = [long, ...Array.from({ length: 5000 }, (_, at) => ({ name: `m${at}` }))]
    let open = 0
    let most = 0
    const { outbound, requests } = scripted(async ({ url }) => {
      open += 1
      most = Math.max(most, open)
      await Promise.resolve()
      open -= 1
      const words = Array.from({ length: 99 }, () => 'tools')
      return pathOf(url) === '/api/tags' ? json({ models }) : json({ capabilities: ['y'.repeat(65), ...words] })
    })
    const listed = await node(outbound).listModels(new AbortController().signal)
    expect(listed).toHaveLength(999)
    expect(listed.map(({ name }) => name)).not.toContain(long.name)
    expect(listed.filter(({ capabilities }) => capabilities?.length === 31)).toHaveLength(100)
    expect(requests).toHaveLength(101)
    expect(most).toBeLessThanOrEqual(4)
  })

  it('are no list when they are larger than any list', async () => {
    const models = [{ name: 'm', details: 'z'.repeat(5 * 1024 * 1024) }]
    const { outbound } = scripted(() => json({ models }))
    const failure = await upstreamFailure(node(outbound).listModels(new AbortController().signal))
    expect(failure).toMatchObject({ fault: 'garbage' })
  })

  it('bound the context of later calls', async () => {
    const { outbound, sent } = scripted(({ url }) => json(answers[pathOf(url)]))
    const provider = node(outbound)
    await provider.listModels(new AbortController().signal)
    await provider.chat(callOf({}, { model: 'new' }))
    expect(sent()).toMatchObject({ options: { num_ctx: 4096 } })
  })
})
