import { expect, it } from 'vitest'
import { ask, asObject, inMessage, joined, parseLines, post, postJson, postLines, startNode } from './demo-client.ts'

const finalFields = [
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
]

it('streams NDJSON by default, one line per token and a last line with metrics', async () => {
  const node = await startNode()
  const response = await post(node, '/api/chat', ask('say exactly: hello there, world'))
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  expect(response.headers.get('x-demo-node')).toBe('true')
  const lines = parseLines(await response.text())
  const last = lines.at(-1)
  expect(joined(lines)).toBe('[demo node] hello there, world')
  expect(lines.slice(0, -1).every((line) => line.done === false && line.done_reason === undefined)).toBe(true)
  expect(last).toMatchObject({ model: 'llama3.2:3b', done: true, done_reason: 'stop', eval_count: lines.length - 1 })
  for (const field of finalFields) expect(last?.[field], field).toBeGreaterThan(0)
  expect(Number(last?.load_duration) + Number(last?.prompt_eval_duration) + Number(last?.eval_duration)).toBe(
    last?.total_duration,
  )
  expect(last?.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
})

it('answers whole with stream false, with the same text and counts as the stream', async () => {
  const node = await startNode()
  const lines = await postLines(node, '/api/chat', ask('Why is the sky blue?'))
  const response = await post(node, '/api/chat', ask('Why is the sky blue?', { stream: false }))
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  const whole = await asObject(response)
  expect(inMessage(whole, 'content')).toBe(joined(lines))
  expect(inMessage(whole, 'content')).toMatch(/^\[demo node\] .*"Why is the sky blue\?"/)
  expect(whole).toMatchObject({
    done: true,
    eval_count: lines.at(-1)?.eval_count,
    prompt_eval_count: lines.at(-1)?.prompt_eval_count,
  })
})

it('counts when asked to', async () => {
  const node = await startNode()
  const whole = await postJson(node, '/api/chat', ask('Please count from 3 to 6.', { stream: false }))
  expect(inMessage(whole, 'content')).toBe('[demo node] 3 4 5 6')
})

it('ends with length at num_predict and with stop at a stop sequence', async () => {
  const node = await startNode()
  const options = { num_predict: 3, seed: 7, temperature: 0 }
  const short = await postLines(node, '/api/chat', ask('count to 20', { options }))
  expect(short).toHaveLength(4)
  expect(short.at(-1)).toMatchObject({ done_reason: 'length', eval_count: 3 })
  const stopped = await postLines(node, '/api/chat', ask('count to 20', { options: { stop: [' 4', '19'] } }))
  expect(joined(stopped)).toBe('[demo node] 1 2 3')
  expect(stopped.at(-1)).toMatchObject({ done_reason: 'stop', eval_count: stopped.length - 1 })
})

it('thinks before it answers, unless told not to, and longer at higher levels', async () => {
  const node = await startNode()
  const request = (think?: unknown) => ask('hello', { model: 'qwen3:8b', ...(think === undefined ? {} : { think }) })
  const lines = await postLines(node, '/api/chat', request())
  const firstContent = lines.findIndex((line) => inMessage(line, 'content') !== '')
  expect(firstContent).toBeGreaterThan(0)
  expect(lines.slice(0, firstContent).every((line) => inMessage(line, 'thinking') !== undefined)).toBe(true)
  expect(lines.slice(firstContent).every((line) => inMessage(line, 'thinking') === undefined)).toBe(true)
  const lengths = []
  for (const level of ['low', 'medium', 'high', 'max']) {
    lengths.push(joined(await postLines(node, '/api/chat', request(level)), 'thinking').length)
  }
  expect(lengths).toEqual([...lengths].sort((left, right) => left - right))
  expect(new Set(lengths).size).toBe(4)
  expect(joined(await postLines(node, '/api/chat', request(true)), 'thinking')).toHaveLength(lengths[1] ?? 0)
  expect(joined(await postLines(node, '/api/chat', request(false)), 'thinking')).toBe('')
})

it('fills a schema after thinking and marks its strings', async () => {
  const node = await startNode()
  const format = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
  const lines = await postLines(node, '/api/chat', ask('Where?', { model: 'qwen3:8b', format }))
  expect(joined(lines, 'thinking')).toContain('[demo node]')
  expect(JSON.parse(joined(lines))).toEqual({ city: '[demo node] city' })
  const free = await postJson(node, '/api/chat', ask('Where?', { format: 'json', stream: false }))
  expect(JSON.parse(String(inMessage(free, 'content')))).toEqual({ demo_node: true, answer: '[demo node] Where?' })
})

it('loads and unloads on an empty conversation and keeps the state that ps shows', async () => {
  let nowMs = Date.UTC(2026, 0, 1)
  const node = await startNode({ nowMs: () => nowMs })
  const loaded = async () => asObject(await fetch(`${node.url}/api/ps`))
  const load = await postJson(node, '/api/chat', { model: 'llama3.1:8b', messages: [], keep_alive: '10m' })
  expect(load).toMatchObject({ done: true, done_reason: 'load', message: { role: 'assistant', content: '' } })
  await postJson(node, '/api/generate', { model: 'llama3.2:3b', prompt: '' })
  await postJson(node, '/api/embed', { model: 'nomic-embed-text', input: 'x', keep_alive: -1 })
  expect(await loaded()).toMatchObject({
    models: [
      { name: 'nomic-embed-text:latest' },
      { name: 'llama3.1:8b', expires_at: '2026-01-01T00:10:00.000000000Z', context_length: 4096 },
      { name: 'llama3.2:3b', expires_at: '2026-01-01T00:05:00.000000000Z' },
    ],
  })
  nowMs += 6 * 60_000
  expect((await loaded()).models).toHaveLength(2)
  const unload = await postJson(node, '/api/chat', { model: 'llama3.1:8b', messages: [], keep_alive: 0 })
  expect(unload).toMatchObject({ done: true, done_reason: 'unload' })
  expect((await loaded()).models).toHaveLength(1)
  await postLines(node, '/api/chat', ask('hi', { keep_alive: '0s' }))
  expect((await loaded()).models).toHaveLength(1)
})

it('generates with a context, and without one in raw mode', async () => {
  const node = await startNode()
  const body = { model: 'llama3.2:3b', prompt: 'say exactly: abc' }
  const response = await post(node, '/api/generate', body)
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  const lines = parseLines(await response.text())
  expect(lines.map((line) => line.response).join('')).toBe('[demo node] abc')
  expect(lines.at(-1)).toMatchObject({ done: true, done_reason: 'stop', response: '', eval_count: lines.length - 1 })
  expect(lines.at(-1)?.context).toEqual(expect.arrayContaining([expect.any(Number)]))
  const raw = await postJson(node, '/api/generate', { ...body, raw: true, stream: false })
  expect(raw.response).toBe('[demo node] abc')
  expect(raw).not.toHaveProperty('context')
  const thought = await postJson(node, '/api/generate', { model: 'qwen3:8b', prompt: 'hi', stream: false })
  expect(thought.thinking).toContain('[demo node]')
})
