import { expect, vi } from 'vitest'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import type { DemoScript } from '../../scripts/local/demo-node/types.ts'
import { type FakeVendor, startFakeVendor } from './fake-vendor/server.ts'
import { type Stack, startStack } from './stack.ts'

type Fields = Record<string, unknown>

/** A stack over two vendors and a node, with a key; what each of them does is in the words or the model's name. */
export type Upstreams = {
  stack: Stack
  openai: FakeVendor
  deepseek: FakeVendor
  node: DemoNode
  apiKey: string
  /** A model of its own for each case: failures in a row are counted by model. */
  freshModel(vendor?: 'openai' | 'deepseek', fault?: string): string
  ask(model: string, words: string, fields?: Fields): Promise<Response>
  /** The one row of a call, once the ledger has written it. */
  rowOf(response: Response): Promise<Record<string, unknown> | undefined>
  close(): Promise<void>
}

export async function startUpstreams(script: DemoScript = {}): Promise<Upstreams> {
  const [openai, deepseek] = await Promise.all([startFakeVendor(), startFakeVendor()])
  const node = await startDemoNode({ chunkDelayMs: 0, script })
  const stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-openai',
      OPENAI_BASE_URL: openai.url,
      DEEPSEEK_API_KEY: 'sk-fake-deepseek',
      DEEPSEEK_BASE_URL: deepseek.url,
      OLLAMA_BASE_URL: node.url,
    },
  })
  const { apiKey } = await stack.org()
  let models = 0
  return {
    stack,
    openai,
    deepseek,
    node,
    apiKey,
    freshModel: (vendor = 'openai', fault) => {
      models += 1
      return `${vendor}/model-${models}${fault === undefined ? '' : `-fault:${fault}`}`
    },
    ask: (model, words, fields = {}) =>
      stack.call(apiKey, '/v1/chat/completions', {
        model,
        messages: [{ role: 'user', content: `Tell me something. ${words}` }],
        user: `${model} ${words}`,
        ...fields,
      }),
    rowOf: (response) =>
      vi.waitFor(
        async () => {
          const rows = await stack.query('select * from usage_ledger where request_id = $1', [requestIdOf(response)])
          expect(rows).toHaveLength(1)
          return rows[0]
        },
        { timeout: 10_000, interval: 100 },
      ),
    close: async () => {
      await stack.close()
      await Promise.all([openai.close(), deepseek.close(), node.close()])
    },
  }
}

export const requestIdOf = (response: Response): string => response.headers.get('x-request-id') ?? ''

/** How often a model was asked of a vendor. */
export const asksOf = (vendor: FakeVendor, model: string): number =>
  vendor.truth().filter((row) => row.model === model.slice(model.indexOf('/') + 1)).length

/** Both forms of an answer side by side: waiting for the books takes a second each time. */
export async function inBothForms(check: (stream: boolean) => Promise<void>): Promise<void> {
  await Promise.all([check(false), check(true)])
}
