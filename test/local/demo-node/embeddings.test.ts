import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { embedText } from '../../../scripts/local/demo-node/embedding.ts'
import { asObject, post, postJson, startNode } from './demo-client.ts'

function cosine(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0)
}

it('gives every text a deterministic vector of length one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 64 }), (text, dimensions) => {
      const vector = embedText(text, dimensions)
      expect(vector).toHaveLength(dimensions)
      expect(Math.hypot(...vector)).toBeCloseTo(1, 6)
      expect(embedText(text, dimensions)).toEqual(vector)
    }),
  )
})

it('puts texts that share words closer together than unrelated ones', () => {
  const base = embedText('The cat sleeps on the warm sofa', 768)
  const near = cosine(base, embedText('A cat is sleeping on my sofa', 768))
  const far = cosine(base, embedText('Quarterly revenue grew by nine percent', 768))
  expect(near).toBeGreaterThan(0.4)
  expect(Math.abs(far)).toBeLessThan(0.15)
  expect(cosine(base, embedText('the CAT sleeps, on the warm sofa!', 768))).toBeCloseTo(1, 6)
})

it('embeds one text, several, or none', async () => {
  const node = await startNode()
  const model = 'nomic-embed-text'
  const one = await postJson(node, '/api/embed', { model, input: 'hello world' })
  expect(one).toEqual({
    model,
    embeddings: [embedText('hello world', 768)],
    total_duration: expect.any(Number),
    load_duration: expect.any(Number),
    prompt_eval_count: 2,
  })
  const two = await postJson(node, '/api/embed', { model, input: ['hello world', ''] })
  expect(two.embeddings).toEqual([embedText('hello world', 768), embedText('', 768)])
  expect(await postJson(node, '/api/embed', { model, input: [] })).toEqual({ model, embeddings: [] })
  expect(await postJson(node, '/api/embed', { model })).toEqual({ model, embeddings: [] })
  const wrong = await post(node, '/api/embed', { model, input: [1] })
  expect([wrong.status, await wrong.json()]).toEqual([400, { error: 'invalid input type' }])
})

it('shortens to the dimensions asked for and normalises again', async () => {
  const node = await startNode()
  const { embeddings } = await postJson(node, '/api/embed', { model: 'nomic-embed-text', input: 'x', dimensions: 64 })
  const [vector] = embeddings as number[][]
  expect(vector).toHaveLength(64)
  expect(Math.hypot(...(vector ?? []))).toBeCloseTo(1, 6)
})

it('cuts an over-long text, or refuses it with truncate off', async () => {
  const node = await startNode()
  const input = 'word '.repeat(40)
  const request = { model: 'nomic-embed-text', input, options: { num_ctx: 10 } }
  expect(await postJson(node, '/api/embed', request)).toMatchObject({ prompt_eval_count: 10 })
  const refused = await post(node, '/api/embed', { ...request, truncate: false })
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: 'the input length exceeds the context length' },
  ])
})

it('serves the older route with a single vector', async () => {
  const node = await startNode()
  const response = await post(node, '/api/embeddings', { model: 'nomic-embed-text', prompt: 'hello world' })
  expect(await asObject(response)).toEqual({ embedding: embedText('hello world', 768) })
  expect(await postJson(node, '/api/embeddings', { model: 'nomic-embed-text' })).toEqual({ embedding: [] })
})
