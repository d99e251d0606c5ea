import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { ask, asObject, inMessage, parseLines, post, postJson, postLines, startNode } from './demo-client.ts'

const offered = ['llama3.2:3b', 'llama3.1:8b', 'qwen3:8b', 'llava:7b', 'nomic-embed-text:latest', 'gemma4:e2b']

it('says on the root and in its version that it is there and that it is the demo', async () => {
  const node = await startNode()
  const root = await fetch(node.url)
  expect([root.status, await root.text(), root.headers.get('x-demo-node')]).toEqual([200, 'Ollama is running', 'true'])
  expect((await fetch(node.url, { method: 'HEAD' })).status).toBe(200)
  expect((await asObject(await fetch(`${node.url}/api/version`))).version).toMatch(/^\d+\.\d+\.\d+-demo$/)
  expect(node.requests()).toBe(3)
})

it('lists its models with details and capabilities', async () => {
  const node = await startNode()
  const { models } = await asObject(await fetch(`${node.url}/api/tags`))
  expect(models).toMatchObject(offered.map((name) => ({ name, model: name })))
  expect(models).toContainEqual({
    name: 'nomic-embed-text:latest',
    model: 'nomic-embed-text:latest',
    modified_at: expect.stringMatching(/Z$/),
    size: 274302450,
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    details: {
      parent_model: '',
      format: 'gguf',
      family: 'nomic-bert',
      families: ['nomic-bert'],
      parameter_size: '137M',
      quantization_level: 'F16',
      context_length: 2048,
      embedding_length: 768,
    },
    capabilities: ['embedding'],
  })
})

it('shows a model, by name with or without the latest tag', async () => {
  const node = await startNode()
  expect(await postJson(node, '/api/show', { model: 'NOMIC-embed-text' })).toMatchObject({
    capabilities: ['embedding'],
    model_info: { 'general.architecture': 'nomic-bert', 'nomic-bert.embedding_length': 768 },
    details: { family: 'nomic-bert' },
  })
  expect(await postJson(node, '/api/show', { name: 'qwen3:8b' })).toMatchObject({
    capabilities: ['completion', 'tools', 'thinking'],
    license: expect.stringContaining('[demo node]'),
  })
})

it('copies and deletes with empty answers', async () => {
  const node = await startNode()
  const copy = await post(node, '/api/copy', { source: 'llama3.2:3b', destination: 'mine' })
  expect([copy.status, await copy.text()]).toEqual([200, ''])
  expect((await post(node, '/api/show', { model: 'mine:latest' })).status).toBe(200)
  const remove = await post(node, '/api/delete', { model: 'mine' }, { method: 'DELETE' })
  expect([remove.status, await remove.text()]).toEqual([200, ''])
  const again = await post(node, '/api/delete', { model: 'mine' }, { method: 'DELETE' })
  expect([again.status, await again.json()]).toEqual([404, { error: "model 'mine' not found" }])
  const lost = await post(node, '/api/copy', { source: 'gone', destination: 'x' })
  expect([lost.status, await lost.json()]).toEqual([404, { error: 'model "gone" not found' }])
})

it('pulls with progress in bytes, after which the model answers', async () => {
  const node = await startNode()
  const response = await post(node, '/api/pull', { model: 'mistral:7b' })
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  const lines = parseLines(await response.text())
  const statuses = lines.map((line) => line.status)
  expect(statuses[0]).toBe('pulling manifest')
  expect(statuses.slice(-3)).toEqual(['verifying sha256 digest', 'writing manifest', 'success'])
  const first = lines[1]
  expect(first).toEqual({
    status: `pulling ${String(first?.digest).slice(7, 19)}`,
    digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    total: 4372824384,
  })
  const done = lines.filter((line) => line.digest === first?.digest).map((line) => Number(line.completed ?? 0))
  expect(done).toEqual([...done].sort((left, right) => left - right))
  expect(done.at(-1)).toBe(4372824384)
  expect(inMessage(await postJson(node, '/api/chat', ask('hi', { model: 'mistral:7b', stream: false })), 'role')).toBe(
    'assistant',
  )
})

it('fails to pull what it does not know, as a line or as a status', async () => {
  const node = await startNode()
  expect(await postLines(node, '/api/pull', { model: 'nope:1' })).toEqual([
    { status: 'pulling manifest' },
    { error: 'pull model manifest: file does not exist' },
  ])
  const whole = await post(node, '/api/pull', { model: 'nope:1', stream: false })
  expect([whole.status, await whole.json()]).toEqual([500, { error: 'pull model manifest: file does not exist' }])
  expect(await postJson(node, '/api/pull', { model: 'llama3.2', stream: false })).toEqual({ status: 'success' })
})

it('refuses to push', async () => {
  const node = await startNode()
  const refusal = 'you are not authorized to push to this namespace, create the model under a namespace you own'
  expect(await postLines(node, '/api/push', { model: 'llama3.2:3b' })).toEqual([
    { status: 'retrieving manifest' },
    { error: refusal },
  ])
  const whole = await post(node, '/api/push', { model: 'llama3.2:3b', stream: false })
  expect([whole.status, await whole.json()]).toEqual([500, { error: refusal }])
})

it('keeps blobs by digest and creates models from them or from another model', async () => {
  const node = await startNode()
  const bytes = 'GGUF not really'
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const blob = (method: string, body?: string) =>
    fetch(`${node.url}/api/blobs/${digest}`, body === undefined ? { method } : { method, body })
  expect((await blob('HEAD')).status).toBe(404)
  expect((await blob('POST', 'other bytes')).status).toBe(400)
  expect((await blob('POST', bytes)).status).toBe(201)
  expect((await blob('POST', bytes)).status).toBe(200)
  expect((await blob('HEAD')).status).toBe(200)
  expect((await fetch(`${node.url}/api/blobs/md5:1`, { method: 'HEAD' })).status).toBe(400)
  const lines = await postLines(node, '/api/create', { model: 'own', files: { 'a.gguf': digest } })
  expect(lines.map((line) => line.status).slice(1)).toEqual(['writing manifest', 'success'])
  await postLines(node, '/api/create', {
    model: 'pirate',
    from: 'llama3.2:3b',
    system: 'Arr',
    parameters: { stop: ['a', 'b'] },
  })
  expect(await postJson(node, '/api/show', { model: 'pirate' })).toMatchObject({
    system: 'Arr',
    parameters: expect.stringMatching(/^stop +"a"\nstop +"b"$/),
    details: { parent_model: 'llama3.2:3b' },
  })
  const neither = await post(node, '/api/create', { model: 'x', modelfile: 'FROM y' })
  expect([neither.status, await neither.json()]).toEqual([400, { error: "neither 'from' or 'files' was specified" }])
})
