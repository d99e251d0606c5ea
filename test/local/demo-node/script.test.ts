import { request } from 'node:http'
import { expect, it, vi } from 'vitest'
import type { DemoNode, DemoScript } from '../../../scripts/local/demo-node/server.ts'
import type { JsonObject } from '../../../scripts/local/demo-node/types.ts'
import { ask, asObject, inMessage, joined, parseLines, post, postJson, postLines, startNode } from './demo-client.ts'

/** What arrived before the connection broke, and whether it broke; `fetch` would drop what it had not handed out. */
function readUntilCut(node: DemoNode, body: JsonObject): Promise<{ text: string; cut: boolean }> {
  return new Promise((resolve, reject) => {
    const call = request(`${node.url}/api/chat`, { method: 'POST' }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => undefined)
      response.on('close', () => resolve({ text: Buffer.concat(chunks).toString(), cut: !response.complete }))
    })
    call.once('error', reject)
    call.end(JSON.stringify(body))
  })
}

const pieces = ['one', ' two', ' three', ' four']

function flaky(script: DemoScript) {
  return startNode({ script })
}

const question = ask('anything', { model: 'flaky:1' })

it('sends exact pieces, thinking, tool calls and done reason', async () => {
  const toolCalls = [{ name: 'f', arguments: { a: [1] }, id: 'call_fixed' }]
  const node = await flaky({ flaky: { pieces, thinking: ['hm', 'm'], toolCalls, doneReason: 'length' } })
  const lines = await postLines(node, '/api/chat', question)
  expect(lines.map((line) => inMessage(line, 'thinking') ?? inMessage(line, 'content'))).toEqual([
    'hm',
    'm',
    ...pieces,
    '',
    '',
  ])
  expect(lines.at(-2)).toMatchObject({
    message: { tool_calls: [{ id: 'call_fixed', function: { index: 0, name: 'f', arguments: { a: [1] } } }] },
  })
  expect(lines.at(-1)).toMatchObject({ done_reason: 'length', eval_count: 7 })
})

it('refuses before the first byte, once, when the list goes on', async () => {
  const headers = { 'retry-after': '1' }
  const node = await flaky({ flaky: [{ refuse: { status: 503, message: 'server busy', headers } }, { pieces }] })
  const first = await post(node, '/api/chat', question)
  expect([first.status, first.headers.get('retry-after'), await first.json()]).toEqual([
    503,
    '1',
    { error: 'server busy' },
  ])
  for (let turn = 0; turn < 2; turn += 1)
    expect(joined(await postLines(node, '/api/chat', question))).toBe(pieces.join(''))
})

it('puts an error line in the middle of a stream, and a 500 in place of a whole answer', async () => {
  const node = await flaky({ flaky: { pieces, failAfter: { pieces: 2, message: 'CUDA error: out of memory' } } })
  const response = await post(node, '/api/chat', question)
  expect(response.status).toBe(200)
  const lines = parseLines(await response.text())
  expect(joined(lines)).toBe('one two')
  expect(lines.at(-1)).toEqual({ error: 'CUDA error: out of memory' })
  expect(lines).toHaveLength(3)
  const whole = await post(node, '/api/chat', { ...question, stream: false })
  expect([whole.status, await whole.json()]).toEqual([500, { error: 'CUDA error: out of memory' }])
  const compatible = await post(node, '/v1/chat/completions', { ...question, stream: true })
  expect(await compatible.text()).not.toContain('[DONE]')
})

it('fails with a status when the error comes before any piece', async () => {
  const node = await flaky({ flaky: { pieces, failAfter: { pieces: 0, message: 'no' } } })
  expect((await post(node, '/api/chat', question)).status).toBe(500)
})

it('cuts the socket after pieces or bytes without counting it as an abort', async () => {
  const byPieces = await flaky({ flaky: { pieces, cutAfter: { pieces: 3 } } })
  const received = await readUntilCut(byPieces, question)
  expect(received.cut).toBe(true)
  expect(joined(parseLines(received.text))).toBe('one two three')
  const byBytes = await flaky({ flaky: { pieces, cutAfter: { bytes: 150 } } })
  const partial = await readUntilCut(byBytes, question)
  expect([partial.cut, partial.text.length]).toEqual([true, 150])
  const whole = await readUntilCut(byBytes, { ...question, stream: false })
  expect([whole.cut, whole.text.length]).toEqual([true, 150])
  const atOnce = await flaky({ flaky: { pieces, cutAfter: { pieces: 0 } } })
  await expect(readUntilCut(atOnce, question)).rejects.toThrow('socket hang up')
  expect([byPieces, byBytes, atOnce].map((node) => node.abortedGenerations())).toEqual([0, 0, 0])
})

it('answers HTML with status 200 on chat and embeddings', async () => {
  const node = await flaky({ flaky: { html: '<h1>Sign in</h1>' } })
  for (const [path, body] of [
    ['/api/chat', question],
    ['/api/embed', { model: 'flaky:1', input: 'x' }],
  ] as const) {
    const response = await post(node, path, body)
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      'text/html; charset=utf-8',
      '<h1>Sign in</h1>',
    ])
  }
})

it('hangs before the headers or after some pieces until the client leaves', async () => {
  const node = await flaky({ 'flaky:1': { hang: 'before-headers' }, 'flaky:2': { pieces, hang: { afterPieces: 1 } } })
  const early = new AbortController()
  const waiting = post(node, '/api/chat', question, { signal: early.signal })
  await vi.waitFor(() => expect(node.requests()).toBe(1))
  early.abort()
  await expect(waiting).rejects.toThrow()
  const late = new AbortController()
  const response = await post(node, '/api/chat', { ...question, model: 'flaky:2' }, { signal: late.signal })
  const reader = response.body?.getReader()
  const first = await reader?.read()
  expect(new TextDecoder().decode(first?.value)).toContain('"content":"one"')
  expect(node.activeGenerations()).toBe(1)
  late.abort()
  await vi.waitFor(() => expect(node.abortedGenerations()).toBe(1))
  expect(node.activeGenerations()).toBe(0)
})

it('delays the first token', async () => {
  const node = await flaky({ flaky: { pieces, firstTokenDelayMs: 40 } })
  const whole = await postJson(node, '/api/chat', { ...question, stream: false })
  expect(Number(whole.load_duration) + Number(whole.prompt_eval_duration)).toBeGreaterThanOrEqual(39e6)
})

it('stops generating at once when the client disconnects, streamed or not', async () => {
  for (const stream of [true, false]) {
    const node = await startNode({ chunkDelayMs: 5 })
    const gone = new AbortController()
    const answer = post(node, '/api/chat', ask('count to 900', { stream }), { signal: gone.signal })
    if (stream) await (await answer).body?.getReader().read()
    await vi.waitFor(() => expect(node.activeGenerations()).toBe(1))
    gone.abort()
    await answer.catch(() => undefined)
    await vi.waitFor(() => expect(node.activeGenerations()).toBe(0), { timeout: 500, interval: 5 })
    expect(node.abortedGenerations()).toBe(1)
  }
})

it('lists scripted names that carry a tag, and takes the longest prefix', async () => {
  const node = await flaky({
    flaky: { pieces: ['short'] },
    'flaky:9': { pieces: ['long'], capabilities: ['completion', 'vision'] },
  })
  const { models } = await asObject(await fetch(`${node.url}/api/tags`))
  expect(models).toContainEqual(expect.objectContaining({ name: 'flaky:9', capabilities: ['completion', 'vision'] }))
  expect(joined(await postLines(node, '/api/chat', { ...question, model: 'flaky:9' }))).toBe('long')
  expect(joined(await postLines(node, '/api/chat', { ...question, model: 'flaky:5' }))).toBe('short')
})

it('closes with answers still open', async () => {
  const node = await flaky({ flaky: { hang: 'before-headers' } })
  const waiting = post(node, '/api/chat', question).catch(() => 'dropped')
  await vi.waitFor(() => expect(node.requests()).toBe(1))
  await node.close()
  expect(await waiting).toBe('dropped')
})
