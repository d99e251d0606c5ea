import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { readClient } from '../support/client-events.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { usageRow } from './truth-books.ts'

let stack: Stack
let vendor: FakeVendor
let node: DemoNode

beforeAll(async () => {
  vendor = await startFakeVendor()
  node = await startDemoNode({ chunkDelayMs: 0 })
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, OLLAMA_BASE_URL: node.url },
  })
})

afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), node?.close()])
})

const stream = { stream: true, stream_options: { include_usage: true } }
const hello = { messages: [{ role: 'user', content: 'Hello there' }], ...stream }

async function rowOf(orgId: string) {
  const rows = () => stack.query('select * from usage_ledger where org_id = $1', [orgId])
  await expect.poll(rows, { timeout: 5000 }).toHaveLength(1)
  const [row = {}] = await rows()
  return { ...row, ...usageRow(row) }
}

describe('a call under a budget and limits', () => {
  const governed = { budgetUsd: 1, requestsPerMinute: 10, tokensPerMinute: 10_000 }

  it('gives what the vendor wrote and counted, and books exactly that', async () => {
    const { apiKey, orgId } = await stack.org(governed)
    const body = { ...hello, model: 'gpt-4o', metadata: { marker: 'governed' } }
    const response = await stack.call(apiKey, '/v1/chat/completions', body)
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('10')
    const client = await readClient(response)
    const truth = vendor.truth().find(({ marker }) => marker === 'governed')
    expect(client).toMatchObject({ status: 200, done: true, text: truth?.text, errors: [] })
    expect(client.usages).toMatchObject([{ prompt_tokens: truth?.prompt, completion_tokens: truth?.completion }])
    const row = await rowOf(orgId)
    expect(row).toMatchObject({ status: 'ok', provider: 'openai', model: 'gpt-4o', estimated: false, stream: true })
    expect(row).toMatchObject({ prompt: truth?.prompt, completion: truth?.completion, error_code: null })
    expect(row.costNanoUsd).toBe(row.costOf(truth?.prompt ?? 0, truth?.completion ?? 0))
    expect(row.costNanoUsd).toBeGreaterThan(0)
  })

  it('of a node is counted too, and costs nothing', async () => {
    const { apiKey, orgId } = await stack.org(governed)
    const client = await readClient(
      await stack.call(apiKey, '/v1/chat/completions', { ...hello, model: 'llama3.2:3b' }),
    )
    const [usage] = client.usages
    expect(client).toMatchObject({ status: 200, done: true, errors: [], finish: { 0: ['stop'] } })
    expect(client.text).not.toBe('')
    expect(await rowOf(orgId)).toMatchObject({
      status: 'ok',
      provider: 'ollama',
      prompt: usage?.prompt_tokens,
      completion: usage?.completion_tokens,
      costNanoUsd: 0,
      estimated: false,
    })
  })
})
