import OpenAI from 'openai'
import { expect, it } from 'vitest'
import { embedText } from '../../../scripts/local/demo-node/embedding.ts'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import { post, postJson, startNode } from './demo-client.ts'

function clientFor(node: DemoNode): OpenAI {
  return new OpenAI({ apiKey: 'unused', baseURL: `${node.url}/v1`, maxRetries: 0 })
}

const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'Current weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}

it('streams chat chunks that end with usage and [DONE]', async () => {
  const node = await startNode()
  const body = {
    model: 'llama3.2:3b',
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: 'count to 3' }],
  }
  const response = await post(node, '/v1/chat/completions', body)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const events = (await response.text()).trimEnd().split('\n\n')
  expect(events.at(-1)).toBe('data: [DONE]')
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)))
  expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1)
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('[demo node] 1 2 3')
  expect(chunks.at(-2)).toMatchObject({
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'stop' }],
  })
  expect(chunks.at(-1)).toMatchObject({
    choices: [],
    usage: { prompt_tokens: 7, completion_tokens: chunks.length - 2, total_tokens: chunks.length + 5 },
  })
})

it('answers the SDK whole, streamed and with tool calls as strings', async () => {
  const node = await startNode()
  const client = clientFor(node)
  const whole = await client.chat.completions.create({
    model: 'llama3.2:3b',
    max_tokens: 3,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'say exactly: one two three four' }] },
    ],
  })
  expect(whole.choices[0]).toMatchObject({ message: { content: '[demo node] one' }, finish_reason: 'length' })
  expect(whole.usage?.completion_tokens).toBe(3)
  const stream = client.chat.completions.stream({
    model: 'llama3.2:3b',
    tools: [weather],
    messages: [{ role: 'user', content: 'weather in Paris and Rome please' }],
  })
  const final = await stream.finalChatCompletion()
  expect(final.choices[0]?.finish_reason).toBe('tool_calls')
  const calls = final.choices[0]?.message.tool_calls ?? []
  expect(calls.map((call) => (call.type === 'function' ? call.function : undefined))).toMatchObject([
    { name: 'get_weather', arguments: '{"city":"Paris"}' },
    { name: 'get_weather', arguments: '{"city":"Rome"}' },
  ])
  const followUp = await client.chat.completions.create({
    model: 'llama3.2:3b',
    messages: [
      { role: 'user', content: 'weather in Paris' },
      { role: 'assistant', content: null, tool_calls: calls.slice(0, 1) },
      { role: 'tool', tool_call_id: calls[0]?.id ?? '', content: '21 degrees' },
    ],
  })
  expect(followUp.choices[0]?.message.content).toBe('[demo node] Tool get_weather returned: 21 degrees')
})

it('maps reasoning effort, response formats and images', async () => {
  const node = await startNode()
  const messages = [{ role: 'user', content: 'hello' }]
  const reasoned = await postJson(node, '/v1/chat/completions', {
    model: 'qwen3:8b',
    reasoning_effort: 'minimal',
    messages,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { const: { ok: true } } } },
  })
  expect(reasoned).toMatchObject({
    choices: [{ message: { content: '{"ok":true}', reasoning: expect.stringContaining('[demo node]') } }],
  })
  const silent = await postJson(node, '/v1/chat/completions', { model: 'qwen3:8b', reasoning_effort: 'none', messages })
  expect(JSON.stringify(silent)).not.toContain('"reasoning"')
  const unknown = await post(node, '/v1/chat/completions', { model: 'qwen3:8b', reasoning_effort: 'huge', messages })
  expect([unknown.status, await unknown.json()]).toMatchObject([400, { error: { type: 'invalid_request_error' } }])
  const image = (url: string) => [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }]
  const remote = await post(node, '/v1/chat/completions', { model: 'llava:7b', messages: image('https://a.example/b') })
  expect([remote.status, await remote.json()]).toMatchObject([400, { error: { message: 'invalid image input' } }])
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFN'
  const seen = await postJson(node, '/v1/chat/completions', {
    model: 'llava:7b',
    messages: image(`data:image/png;base64,${png}`),
  })
  expect(JSON.stringify(seen)).toContain('a PNG image of 3 × 2 pixels')
})

it('completes text, whole and streamed', async () => {
  const node = await startNode()
  const client = clientFor(node)
  const request = { model: 'llama3.2:3b', prompt: 'say exactly: abc def' }
  const whole = await client.completions.create(request)
  expect(whole.choices[0]).toMatchObject({ text: '[demo node] abc def', finish_reason: 'stop' })
  let text = ''
  let usage = 0
  for await (const chunk of await client.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    text += chunk.choices[0]?.text ?? ''
    usage = chunk.usage?.completion_tokens ?? usage
  }
  expect([text, usage]).toEqual(['[demo node] abc def', 4])
})

it('embeds for the SDK in floats and in base64', async () => {
  const node = await startNode()
  const client = clientFor(node)
  const request = { model: 'nomic-embed-text', input: ['hello world', 'x'], dimensions: 16 }
  const encoded = await client.embeddings.create(request)
  const floats = await client.embeddings.create({ ...request, encoding_format: 'float' })
  expect(floats.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 })
  expect(encoded.data.map((entry) => entry.embedding.map(Math.fround))).toEqual(
    floats.data.map((entry) => entry.embedding.map(Math.fround)),
  )
  const full = await client.embeddings.create({
    model: 'nomic-embed-text',
    input: 'hello world',
    encoding_format: 'float',
  })
  expect(full.data[0]?.embedding).toEqual(embedText('hello world', 768))
  const refused = await post(node, '/v1/embeddings', { model: 'nomic-embed-text', input: [] })
  expect([refused.status, await refused.json()]).toMatchObject([400, { error: { message: 'invalid input' } }])
})

it('lists and retrieves models, with errors in the compatible shape', async () => {
  const node = await startNode()
  const client = clientFor(node)
  const list = await client.models.list()
  expect(list.data.map((model) => model.id)).toContain('gemma4:e2b')
  expect(await client.models.retrieve('llama3.2:3b')).toMatchObject({
    id: 'llama3.2:3b',
    object: 'model',
    owned_by: 'library',
  })
  const missing = await fetch(`${node.url}/v1/models/nope`)
  expect([missing.status, await missing.json()]).toEqual([
    404,
    { error: { message: "model 'nope' not found", type: 'not_found_error', param: null, code: null } },
  ])
  const empty = await post(node, '/v1/chat/completions', { model: 'llama3.2:3b', messages: [] })
  expect([empty.status, await empty.json()]).toEqual([
    400,
    { error: { message: "[] is too short - 'messages'", type: 'invalid_request_error', param: null, code: null } },
  ])
})

it('transcribes WAV and MP3 to a text that says it is none, and refuses other kinds', async () => {
  const node = await startNode()
  const client = clientFor(node)
  const wav = new File([Buffer.from('RIFF\x24\0\0\0WAVEfmt ', 'latin1')], 'a.wav')
  const transcript = await client.audio.transcriptions.create({ model: 'gemma4:e2b', file: wav })
  expect(transcript.text).toMatch(/^\[demo node\] .*WAV/)
  const form = (file: File | undefined, fields: Record<string, string>) => {
    const data = new FormData()
    for (const [name, value] of Object.entries(fields)) data.set(name, value)
    if (file) data.set('file', file)
    return fetch(`${node.url}/v1/audio/transcriptions`, { method: 'POST', body: data })
  }
  const plain = await form(wav, { model: 'gemma4:e2b', response_format: 'text' })
  expect(plain.headers.get('content-type')).toContain('text/plain')
  expect(await plain.text()).toBe(transcript.text)
  const ogg = new File([Buffer.from('OggS\0\0\0\0\0\0\0\0')], 'a.ogg')
  expect((await form(ogg, { model: 'gemma4:e2b' })).status).toBe(400)
  expect((await form(wav, { model: 'llama3.2:3b' })).status).toBe(400)
  expect((await form(wav, { model: 'nope' })).status).toBe(404)
  expect((await form(undefined, { model: 'gemma4:e2b' })).status).toBe(400)
  expect((await post(node, '/v1/audio/transcriptions', {})).status).toBe(400)
})
