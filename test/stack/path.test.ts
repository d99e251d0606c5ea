import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { type Stack, startStack } from '../support/stack.ts'

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

const hello = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello there' }] }

describe('the path', () => {
  it('answers a chat call with what the vendor wrote', async () => {
    const { apiKey } = await stack.org()
    const response = await stack.call(apiKey, '/v1/chat/completions', hello)
    expect(await response.clone().text()).toContain('chat.completion')
    expect(response.status).toBe(200)
    console.log([...response.headers], await response.json())
  })

  it('streams', async () => {
    const { apiKey } = await stack.org({ budgetUsd: 1 })
    const response = await stack.call(apiKey, '/v1/chat/completions', {
      ...hello,
      stream: true,
      stream_options: { include_usage: true },
    })
    console.log([...response.headers], await response.text())
  })

  it('streams from the node', async () => {
    const { apiKey, orgId } = await stack.org({ budgetUsd: 1, requestsPerMinute: 10, tokensPerMinute: 10000 })
    const response = await stack.call(apiKey, '/v1/chat/completions', { ...hello, model: 'llama3.2:3b', stream: true })
    console.log([...response.headers], await response.text())
    await expect
      .poll(() => stack.query('select * from usage_ledger where org_id = $1', [orgId]), { timeout: 5000 })
      .toHaveLength(1)
    console.log(await stack.query('select * from usage_ledger where org_id = $1', [orgId]))
  })
})
