import { afterAll, beforeAll, describe } from 'vitest'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { chatScenarios } from './sdk-chat.ts'
import { endScenarios } from './sdk-ends.ts'
import { kits, type World } from './sdk-kits.ts'
import { modelScenarios } from './sdk-models.ts'
import { toolScenarios } from './sdk-tools.ts'

let stack: Stack
let vendor: FakeVendor
let node: DemoNode

beforeAll(async () => {
  vendor = await startFakeVendor()
  node = await startDemoNode({ chunkDelayMs: 0, script: { 'slow:1b': { pieceDelayMs: 10 } } })
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, OLLAMA_BASE_URL: node.url },
  })
})

afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), node?.close()])
})

describe.each(kits)('the official client: $name', (kit) => {
  let shared: World

  beforeAll(async () => {
    const clientOf = (apiKey: string) => kit.connect({ apiKey, baseURL: `${stack.url}/v1` })
    const { apiKey, orgId } = await stack.org()
    shared = { kit, stack, vendor, node, client: clientOf(apiKey), orgId, clientOf }
  })

  const world = () => shared

  describe('chat', () => chatScenarios(world))
  describe('tools', () => toolScenarios(world))
  describe('models', () => modelScenarios(world))
  describe('ends', () => endScenarios(world))
})
