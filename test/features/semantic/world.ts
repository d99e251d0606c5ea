import { insert } from '../../../scripts/seed.ts'
import { createVendors } from '../../../src/adapters/providers/vendors.ts'
import type { Provider } from '../../../src/core/models.ts'
import { fakeSettings } from '../../support/fake-deps.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'

/** A node that makes vectors as it is told. */
export type ScriptedNode = {
  /** What it makes of a text; words that two texts share bring their vectors near. */
  vectorOf: (text: string) => number[]
  models: string[]
  contextWindow: number
  /** Texts of each call, in order. */
  calls: string[][]
  /** Ends before a call is answered. */
  before: () => Promise<void>
}

export type SemanticWorld = {
  postgres: MigratedPostgres
  gateway: TestGateway
  node: ScriptedNode
  /** A new organisation with a key. */
  team(): Promise<Team>
  close(): Promise<void>
}

export type Team = {
  orgId: string
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  /** A call under `/api/v1/semantic` and its answer. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Asked>
}
/** An answer, with the fields that tests look into. */
export type Asked = { status: number; body: Answer }
type Answer = {
  results: { content_id: string; content: string; source_id: string; score: number; similarity_score: number | null }[]
  search_parameters: unknown
  chunks: { id: string; content: string; start_offset: number; metadata: unknown }[]
  spaces: { id: string }[]
  embedding: number[]
  embeddings: number[][]
  windows: number
  similarity: number
  id: string
}

export const DIMENSIONS = 384
export const MODEL = 'nomic-embed-text:latest'

/** A bag of words: each word has a direction of its own. */
export function bagOfWords(text: string, dimensions = DIMENSIONS): number[] {
  const vector = Array.from({ length: dimensions }, () => 0)
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) {
    let hash = 2166136261
    for (const sign of word) hash = Math.imul(hash ^ (sign.codePointAt(0) ?? 0), 16777619)
    const at = (hash >>> 0) % dimensions
    vector[at] = (vector[at] ?? 0) + 1
  }
  vector[0] = (vector[0] ?? 0) + 0.01
  return vector
}

/** With `upstream`, a vendor's models answer beside the node. */
export async function openWorld({ upstream }: Pick<TestGatewayOptions, 'upstream'> = {}): Promise<SemanticWorld> {
  const postgres = await startMigratedPostgres()
  const node: ScriptedNode = {
    vectorOf: bagOfWords,
    models: [MODEL],
    contextWindow: 2048,
    calls: [],
    before: async () => {},
  }
  const limiter = {
    allows: async () => true,
    take: async () => ({ allowed: true, retryAfterSeconds: 0 }),
    reset: async () => {},
  }
  const providers = new Map([['ollama', providerOf(node)]])
  const gateway = await startGateway({
    vendors: upstream ? ['openai'] : [],
    ...(upstream && { upstream }),
    deps: { limiter, db: postgres.database(), providers },
  })
  const vendors = upstream ? { openai: { apiKey: 'sk-secret', baseUrl: 'https://openai.test/v1' } } : {}
  for (const one of createVendors({ vendors, outbound: gateway.deps.outbound })) providers.set(one.name, one)
  const team = async (): Promise<Team> => {
    const scopes = ['semantic:write']
    const { orgId, apiKey } = await insert(postgres.pool, fakeSettings.keyPepper, { name: 'A team', scopes })
    const send: Team['send'] = (method, path, body, headers = {}) =>
      gateway.call(path, body, { method, headers: { authorization: `Bearer ${apiKey}`, ...headers } })
    return {
      orgId,
      send,
      ask: async (method, path, body, headers) => {
        const response = await send(method, `/api/v1/semantic${path}`, body, headers)
        const text = await response.text()
        return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
      },
    }
  }
  return { postgres, gateway, node, team, close: () => postgres.close() }
}

function providerOf(node: ScriptedNode): Provider {
  const refuse = async () => {
    throw new Error('this node makes vectors only')
  }
  return {
    name: 'ollama',
    kind: 'node',
    timeouts: { connectMs: 5000, firstByteMs: 30_000, idleMs: 30_000, totalMs: 60_000 },
    chat: refuse,
    embed: async ({ body: { input } }) => {
      const texts = [input].flat().map(String)
      node.calls.push(texts)
      await node.before()
      return { vectors: texts.map((text) => node.vectorOf(text)), promptTokens: texts.length, ignored: [] }
    },
    listModels: async () =>
      node.models.map((name) => ({ name, capabilities: ['embedding'], contextWindow: node.contextWindow })),
  }
}
