import { Ollama } from 'ollama'
import { expect, it } from 'vitest'
import { startNode } from './demo-client.ts'

/** 1 × 1 pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

async function start() {
  const node = await startNode()
  return new Ollama({ host: node.url })
}

it('lists, shows and loads models for the ollama client', async () => {
  const ollama = await start()
  const { models } = await ollama.list()
  expect(models.map(({ name }) => name)).toContain('llava:7b')
  expect((await ollama.show({ model: 'llava:7b' })).capabilities).toContain('vision')
  await ollama.generate({ model: 'llava:7b', prompt: '' })
  expect((await ollama.ps()).models[0]).toMatchObject({ name: 'llava:7b', size_vram: expect.any(Number) })
})

it('streams chat for the ollama client, calls its tools and fills its schema', async () => {
  const ollama = await start()
  const messages = [{ role: 'user', content: 'count to 5' }]
  const pieces: string[] = []
  for await (const part of await ollama.chat({ model: 'llama3.2:3b', messages, stream: true })) {
    pieces.push(part.message.content)
  }
  expect(pieces.join('')).toBe('[demo node] 1 2 3 4 5')
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
  const tools = [{ type: 'function', function: { name: 'weather', description: 'Weather of a city', parameters } }]
  const called = await ollama.chat({
    model: 'llama3.2:3b',
    messages: [{ role: 'user', content: 'Use weather for the city of Paris' }],
    tools,
  })
  expect(called.message.tool_calls?.[0]?.function.name).toBe('weather')
  const filled = await ollama.chat({ model: 'llama3.2:3b', messages, format: parameters })
  expect(JSON.parse(filled.message.content)).toEqual({ city: expect.any(String) })
})

it('embeds and looks at pictures for the ollama client, and refuses them without an eye', async () => {
  const ollama = await start()
  const { embeddings } = await ollama.embed({ model: 'nomic-embed-text', input: ['one', 'two'] })
  expect(embeddings.map((vector) => vector.length)).toEqual([768, 768])
  const messages = [{ role: 'user', content: 'What is this?', images: [png] }]
  const seen = await ollama.chat({ model: 'llava:7b', messages })
  expect(seen.message.content).toContain('a PNG image of 1 × 1 pixels')
  await expect(ollama.chat({ model: 'llama3.2:3b', messages })).rejects.toThrow('image input')
})

it('pulls with rising progress, and deletes, for the ollama client', async () => {
  const ollama = await start()
  const completed: number[] = []
  let status = ''
  for await (const step of await ollama.pull({ model: 'llama3.2:1b', stream: true })) {
    status = step.status
    if (step.completed && step.total > 1e9) completed.push(step.completed)
  }
  expect(status).toBe('success')
  expect(completed.length).toBeGreaterThan(3)
  expect(completed).toEqual([...completed].sort((left, right) => left - right))
  await ollama.delete({ model: 'llama3.2:1b' })
  expect((await ollama.list()).models.map(({ name }) => name)).not.toContain('llama3.2:1b')
})
