import { request } from 'node:http'
import { expect, it } from 'vitest'
import { ask, asObject, post, startNode } from './demo-client.ts'

const cases: [name: string, path: string, body: unknown, status: number, message: string][] = [
  ['an unknown model', '/api/chat', { model: 'llama3.2', messages: [] }, 404, "model 'llama3.2' not found"],
  ['an unknown model', '/api/generate', { model: 'nope:1', prompt: 'x' }, 404, "model 'nope:1' not found"],
  ['an unknown model', '/api/show', { model: 'nope:1' }, 404, "model 'nope:1' not found"],
  ['an unknown model', '/api/embed', { model: 'nope:1', input: 'x' }, 404, "model 'nope:1' not found"],
  [
    'an unknown model',
    '/api/embeddings',
    { model: 'nope:1', prompt: 'x' },
    404,
    'model "nope:1" not found, try pulling it first',
  ],
  ['no model', '/api/chat', { messages: [] }, 400, 'model is required'],
  ['no model', '/api/show', {}, 400, 'model is required'],
  ['an invalid name', '/api/pull', { model: '///' }, 400, 'invalid model name'],
  [
    'thinking on a model without it',
    '/api/chat',
    ask('x', { think: true }),
    400,
    '"llama3.2:3b" does not support thinking',
  ],
  [
    'an unknown think level',
    '/api/chat',
    ask('x', { think: 'ultra' }),
    400,
    'invalid think value: "ultra" (must be "high", "medium", "low", "max", true, or false)',
  ],
  [
    'tools on a model without them',
    '/api/chat',
    ask('x', { model: 'llava:7b', tools: [{ type: 'function', function: { name: 'f' } }] }),
    400,
    'registry.ollama.ai/library/llava:7b does not support tools',
  ],
  [
    'chat with an embedding model',
    '/api/chat',
    ask('x', { model: 'nomic-embed-text' }),
    400,
    '"nomic-embed-text" does not support chat',
  ],
  [
    'generate with an embedding model',
    '/api/generate',
    { model: 'nomic-embed-text', prompt: 'x' },
    400,
    '"nomic-embed-text" does not support generate',
  ],
  [
    'a suffix on a model that cannot insert',
    '/api/generate',
    { model: 'llama3.2:3b', prompt: 'x', suffix: 'y' },
    400,
    'registry.ollama.ai/library/llama3.2:3b does not support insert',
  ],
  [
    'an unknown format',
    '/api/chat',
    ask('x', { format: 'xml' }),
    500,
    'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object',
  ],
  [
    'a schema nothing satisfies',
    '/api/chat',
    ask('x', { format: { type: 'string', pattern: '(' } }),
    400,
    'Failed to initialize samplers: failed to parse grammar',
  ],
  [
    'an option of the wrong type',
    '/api/chat',
    ask('x', { options: { stop: 'a' } }),
    500,
    'option "stop" must be of type array',
  ],
  ['too many top_logprobs', '/api/chat', ask('x', { top_logprobs: 21 }), 400, 'top_logprobs must be between 0 and 20'],
  ['a bad keep_alive', '/api/chat', ask('x', { keep_alive: 'soon' }), 400, 'time: invalid duration "soon"'],
  [
    'a field of the wrong type',
    '/api/chat',
    { model: 'llama3.2:3b', messages: 'hi' },
    400,
    'json: cannot unmarshal string into Go struct field ChatRequest.messages of type []interface {}',
  ],
  [
    'a prompt over the context with truncate off',
    '/api/chat',
    ask('word '.repeat(50), { truncate: false, options: { num_ctx: 10 } }),
    400,
    'the input length exceeds the context length',
  ],
  [
    'raw mode with a system prompt',
    '/api/generate',
    { model: 'llama3.2:3b', prompt: 'x', raw: true, system: 'y' },
    400,
    'raw mode does not support template, system, or context',
  ],
]

it.each(cases)('refuses %s on %s', async (_name, path, body, status, message) => {
  const node = await startNode()
  const response = await post(node, path, body)
  expect(await asObject(response)).toEqual({ error: message })
  expect(response.status).toBe(status)
  expect(response.headers.get('content-type')).toContain('application/json')
  expect(response.headers.get('x-demo-node')).toBe('true')
})

it('tells an empty, a broken and a truncated body apart', async () => {
  const node = await startNode()
  const send = async (body: string) => asObject(await fetch(`${node.url}/api/chat`, { method: 'POST', body }))
  expect(await send('')).toEqual({ error: 'missing request body' })
  expect(await send('hello')).toEqual({ error: "invalid character 'h' looking for beginning of value" })
  expect(await send('{"model":')).toEqual({ error: 'unexpected EOF' })
})

it('answers unknown paths with 404 and known paths with the wrong method with 405, in plain text', async () => {
  const node = await startNode()
  const missing = await fetch(`${node.url}/api/nothing`)
  expect([missing.status, await missing.text()]).toEqual([404, '404 page not found'])
  const odd = await fetch(`${node.url}//`)
  expect(odd.status).toBe(404)
  const wrong = await fetch(`${node.url}/api/chat?x=1`)
  expect([wrong.status, await wrong.text(), wrong.headers.get('allow')]).toEqual([
    405,
    '405 method not allowed',
    'POST',
  ])
  expect(wrong.headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(wrong.headers.get('x-demo-node')).toBe('true')
})

it('refuses a body over the limit with 413, declared or not', async () => {
  const node = await startNode({ maxBodyBytes: 100_000 })
  const declared = await post(node, '/api/chat', ask('x'.repeat(300_000)))
  expect([declared.status, await declared.json()]).toEqual([413, { error: 'http: request body too large' }])
  const chunks = new Blob([JSON.stringify(ask('x'.repeat(300_000)))]).stream()
  const streamed = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    body: chunks,
    duplex: 'half',
  } as RequestInit)
  expect([streamed.status, await streamed.json()]).toEqual([
    413,
    { error: { message: 'http: request body too large', type: 'api_error', param: null, code: null } },
  ])
})

function statusFor(url: string, headers: Record<string, string>, method = 'GET'): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}/api/version`, { headers, method }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    call.once('error', reject)
    call.end()
  })
}

it('serves local hosts and origins only', async () => {
  const { url } = await startNode()
  expect(await statusFor(url, { host: 'evil.example' })).toBe(403)
  expect(await statusFor(url, { host: '8.8.8.8:11434' })).toBe(403)
  expect(await statusFor(url, { host: 'gpu.local:11434' })).toBe(200)
  expect(await statusFor(url, { host: '[::1]:11434' })).toBe(200)
  expect(await statusFor(url, { host: '192.168.1.4' })).toBe(200)
  expect(await statusFor(url, { origin: 'https://evil.example' })).toBe(403)
  expect(await statusFor(url, { origin: 'http://localhost:3000' })).toBe(200)
  expect(await statusFor(url, { origin: 'http://localhost:3000' }, 'OPTIONS')).toBe(204)
})
