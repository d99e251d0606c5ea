import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { type Stack, startStack } from '../support/stack.ts'

let node: DemoNode
let stack: Stack

beforeAll(async () => {
  node = await startDemoNode({ chunkDelayMs: 0 })
  stack = await startStack({ vars: { OLLAMA_BASE_URL: node.url } })
})
afterAll(async () => {
  await stack?.close()
  await node?.close()
})

const Results = z.looseObject({
  results: z.array(z.looseObject({ source_id: z.string(), content: z.string(), score: z.number() })),
})
const Job = z.looseObject({ id: z.string(), status: z.string() })

async function team() {
  const { orgId, apiKey } = await stack.org({ scopes: ['semantic:write', 'chat:write'] })
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await stack.call(apiKey, `/api/v1/semantic${path}`, body, { headers })
    const answer: unknown = await response.json()
    return { status: response.status, answer }
  }
  const search = async (body: object) => Results.parse((await post('/search', body)).answer).results
  return { orgId, apiKey, post, search }
}

const texts = {
  foxes: 'The quick brown fox jumps over the lazy dog in the garden of the old house.',
  tunnels: 'A tunnel leads to the machine with the graphics card; its timeout is ninety seconds.',
}

it('texts are embedded by a node, indexed and found in workerd, over both of its stores', async () => {
  const { orgId, post, search } = await team()
  for (const [source_id, text] of Object.entries(texts)) {
    expect(await post('/index', { source_id, text })).toMatchObject({
      status: 200,
      answer: { chunks: 1, model_used: 'ollama/nomic-embed-text:latest', language: 'english' },
    })
  }
  for (const mode of ['semantic', 'keyword', 'hybrid']) {
    const [first] = await search({ query: 'the timeout of the tunnel', mode, threshold: 0 })
    expect(first).toMatchObject({ source_id: 'tunnels' })
  }
  const other = await team()
  expect(await other.search({ query: texts.tunnels, mode: 'keyword' })).toEqual([])
  await expect
    .poll(() => stack.query('select mode from semantic_searches where org_id = $1 order by id', [orgId]))
    .toHaveLength(3)
  const rows = await stack.query(
    `select operation, status, model from usage_ledger where org_id = $1 and parent_request_id is not null`,
    [orgId],
  )
  for (const row of rows) expect(row).toMatchObject({ operation: 'embedding', status: 'ok' })
})

it('a long text is a job, and found once it is done', { timeout: 180_000 }, async () => {
  const { apiKey, post, search } = await team()
  const text = Array.from({ length: 4000 }, (_, at) => `Sentence number ${at} of a long book is here.`).join(' ')
  const { status, answer } = await post('/index', { source_id: 'book', text })
  expect(status).toBe(202)
  const { id } = Job.parse(answer)
  await expect
    .poll(async () => Job.parse(await (await stack.call(apiKey, `/api/v1/jobs/${id}`)).json()).status, {
      timeout: 150_000,
      interval: 500,
    })
    .toBe('completed')
  const [first] = await search({ query: '"number 3456"', mode: 'keyword' })
  expect(first?.content).toContain('number 3456')
})
