import { expect, it } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import { ask, asObject, inMessage, joined, post, postJson, postLines, startNode } from './demo-client.ts'

async function loaded(node: DemoNode): Promise<unknown[]> {
  const { models } = await asObject(await fetch(`${node.url}/api/ps`))
  return Array.isArray(models) ? models.map(({ name }) => name).sort() : []
}

const use = (node: DemoNode, model: string) => post(node, '/api/generate', { model, stream: false })

it('says how long a cold model took to load, and is quick when it is warm', async () => {
  const node = await startNode({ loadDelayMs: { 'llama3.2:3b': 80 } })
  const cold = await postJson(node, '/api/chat', ask('Hi', { stream: false }))
  const warm = await postJson(node, '/api/chat', ask('Hi', { stream: false }))
  expect(cold.load_duration).toBeGreaterThan(75e6)
  expect(cold.total_duration).toBeGreaterThan(Number(cold.load_duration))
  expect(warm.load_duration).toBeLessThan(Number(cold.load_duration))
})

it('makes room by unloading what was not used for longest', async () => {
  const node = await startNode({ memoryMb: 10_000 })
  await use(node, 'llama3.2:3b')
  await use(node, 'llama3.1:8b')
  await use(node, 'llama3.2:3b')
  await use(node, 'qwen3:8b')
  expect(await loaded(node)).toEqual(['llama3.2:3b', 'qwen3:8b'])
})

it('refuses a model that is larger than the card', async () => {
  const node = await startNode({ memoryMb: 2000 })
  expect((await use(node, 'llama3.2:3b')).status).toBe(200)
  const refused = await use(node, 'llama3.1:8b')
  expect([refused.status, await refused.json()]).toEqual([
    500,
    { error: 'model requires more system memory (4.6 GiB) than is available (2.0 GiB)' },
  ])
})

it('gives log probabilities when asked, one for each token', async () => {
  const node = await startNode()
  const question = ask('say exactly: one two three', { logprobs: true, top_logprobs: 2 })
  const lines = await postLines(node, '/api/chat', question)
  for (const line of lines.slice(0, -1)) {
    const token = inMessage(line, 'content')
    expect(line.logprobs).toEqual([
      {
        token,
        logprob: expect.any(Number),
        bytes: expect.any(Array),
        top_logprobs: [expect.anything(), expect.anything()],
      },
    ])
  }
  const whole = await postJson(node, '/api/chat', { ...question, stream: false })
  const tokens = Array.isArray(whole.logprobs) ? whole.logprobs : []
  expect(tokens.map(({ token }) => token).join('')).toBe(joined(lines))
  expect(tokens.every(({ logprob }) => logprob <= 0)).toBe(true)
  expect(await postJson(node, '/api/chat', ask('Hi', { stream: false }))).not.toHaveProperty('logprobs')
})
