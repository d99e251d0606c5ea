import { type DemoNode, startDemoNode } from '../../../scripts/local/demo-node/server.ts'
import type { DemoScript } from '../../../scripts/local/demo-node/types.ts'
import { createOutbound } from '../../../src/adapters/outbound.ts'
import { createOllama } from '../../../src/adapters/providers/ollama.ts'
import type { Database } from '../../../src/core/db.ts'
import type { Gate } from '../../../src/core/gate.ts'
import type { Provider } from '../../../src/core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeCapability, type NodeModel, type NodeState } from '../../../src/core/node.ts'
import { createGate, unseen } from '../../../src/features/gates/service.ts'
import { startGateway, type TestGateway } from '../../support/gateway.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

const model = (server: NodeModel['server'], name: string, ...capabilities: NodeCapability[]): NodeModel => ({
  name,
  server,
  capabilities,
  capabilitySource: 'list',
})

export const speechModels: readonly NodeModel[] = [
  model('speech', 'demo/whisper-large-v3', 'transcription', 'translation'),
  model('speech', 'demo/kokoro-82m', 'speech'),
]
export const agentModels: readonly NodeModel[] = [
  model('agent', 'demo/sound-classifier', 'audio_classification'),
  model('agent', 'demo/pitch-diarizer', 'diarization'),
]
export const textModel = model('ollama', 'llama3.1:8b', 'completion')
export const hearingModel = model('ollama', 'gemma4:e4b', 'completion', 'audio_chat')

type Node = { name: string; models: readonly NodeModel[]; demo: DemoNode; agent?: boolean; audio?: number }

export type AudioWorld = TestGateway & {
  post(path: string, body: Record<string, unknown> | FormData, init?: RequestInit): Promise<Response>
  /** Places that are taken at a node. */
  inFlight(name: string): number
  /** Runs that were noted. */
  runs(): Promise<Record<string, unknown>[]>
}

/** The gateway in this process before real servers of the demo node, each seen as having those models. */
export async function startAudio(nodes: readonly Node[]): Promise<AudioWorld> {
  const origins = nodes.flatMap(({ demo: { url, speechUrl, agentUrl } }) => [url, speechUrl, agentUrl])
  const now = Date.now
  const outbound = createOutbound({
    trustedOrigins: origins,
    testOrigins: [],
    deniedHosts: [],
    dohUrl: 'https://doh.test',
    now,
    fetch: globalThis.fetch,
  })
  const places = new Map(nodes.map(({ name }) => [`node_${name}`, createGate({ exec: sqliteStorage().exec, now })]))
  const placesOf = (id: string) => {
    const found = places.get(id)
    if (!found) throw new Error(`no gate ${id}`)
    return found
  }
  const gateOf = (id: string): Gate => ({
    ...placesOf(id),
    look: async () => seen(placesOf(id).occupancy(), nodes.find(({ name }) => `node_${name}` === id)?.models ?? []),
    history: async () => [],
    forget: async () => undefined,
  })
  const providers = nodes.map(({ name, demo, agent = true, audio = 2 }): [string, Provider] => {
    const { url: baseUrl, speechUrl, agentUrl } = demo
    const facts = {
      id: `node_${name}`,
      isShared: true,
      endpoints: { baseUrl, speechUrl, ...(agent && { agentUrl }) },
      limits: { ...DEFAULT_NODE_LIMITS, audio },
      isDraining: false,
      watch: 'shared',
    } as const
    return [name, createOllama({ name, baseUrl, node: facts, outbound, now })]
  })
  const inserted: Record<string, unknown>[] = []
  const gateway = await startGateway({
    policy: { scopes: ['audio:read', 'audio:write', 'chat:write'] },
    deps: { outbound, providers: new Map(providers), gateOf, db: keptInserts(inserted) },
  })
  return {
    ...gateway,
    post: (path, body, init = {}) => {
      const headers = new Headers(init.headers)
      headers.set('authorization', `Bearer ${gateway.apiKey}`)
      const isForm = body instanceof FormData
      if (!isForm) headers.set('content-type', 'application/json')
      const request = new Request(`https://gateway.test${path}`, {
        ...init,
        method: 'POST',
        headers,
        body: isForm ? body : JSON.stringify(body),
      })
      return gateway.gateway(request, undefined, { waitUntil: gateway.defer })
    },
    inFlight: (name) => placesOf(`node_${name}`).occupancy().inFlight.audio ?? 0,
    runs: async () => {
      await gateway.rows()
      return inserted
    },
  }
}

const seen = (occupancy: Parameters<typeof unseen>[0], models: readonly NodeModel[]): NodeState => ({
  ...unseen(occupancy),
  health: 'healthy',
  checkedAtMs: Date.now(),
  seenAtMs: Date.now(),
  latencyMs: 5,
  models,
})

/** Keeps what is inserted, and has no rows. */
function keptInserts(inserted: Record<string, unknown>[]): Database {
  const insert = () => ({
    values: (row: Record<string, unknown>) => {
      inserted.push(row)
      return { onConflictDoNothing: () => [] }
    },
  })
  const query = { insert, execute: () => ({ rows: [] }) }
  const atomically = async (_orgId: string, build: (query: unknown) => unknown) => {
    build(query)
    return [{ rows: [] }]
  }
  return { query: async () => [], atomically } as unknown as Database
}

export const demo = (script: DemoScript = {}): Promise<DemoNode> => startDemoNode({ chunkDelayMs: 0, script })

export function formOf(file: Uint8Array, fields: Record<string, string | string[]> = {}, name = 'sound.wav'): FormData {
  const form = new FormData()
  for (const [field, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(field, one)
  form.append('file', new File([new Uint8Array(file)], name))
  return form
}
