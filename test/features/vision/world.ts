import { type DemoNode, type DemoNodeOptions, startDemoNode } from '../../../scripts/local/demo-node/server.ts'
import { insert } from '../../../scripts/seed.ts'
import { createOutbound } from '../../../src/adapters/outbound.ts'
import { createOllama } from '../../../src/adapters/providers/ollama.ts'
import { DEFAULT_NODE_LIMITS, type NodeFacts, SHARED_NODE_ID } from '../../../src/core/node.ts'
import type { WorkMessage } from '../../../src/core/work.ts'
import { createGate, createWatch } from '../../../src/features/gates/service.ts'
import { runMessage } from '../../../src/features/job-queue/run.ts'
import { visionWork } from '../../../src/features/vision/work.ts'
import { fakeSettings } from '../../support/fake-deps.ts'
import { startGateway, type TestGateway } from '../../support/gateway.ts'
import { memoryBucket } from '../../support/memory-bucket.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'
import { type PictureName, pixelsOf, pngOf } from '../../support/pictures.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

/** What went to the node, as it went. */
export type ToNode = { path: string; body: string }

export type Answer = { status: number; text: string; body: Record<string, unknown> }

export type Team = {
  orgId: string
  /** A call under `/api/v1/vision`: JSON, a form, or nothing. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

export type VisionWorld = {
  postgres: MigratedPostgres
  gateway: TestGateway
  node: DemoNode
  files: Map<string, Uint8Array>
  sent: ToNode[]
  /** Jobs that nobody has done yet. */
  queue: WorkMessage[]
  /** What addresses of the Internet lead to, by URL. */
  pages: Map<string, () => Response>
  team(): Promise<Team>
  /** Does what is in the queue. */
  work(): Promise<void>
  /** What was written down of calls, in order. */
  runs(orgId: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export const PNG = pngOf(pixelsOf('house', 24), 24)
export const picture = (name: PictureName, side = 24) => pngOf(pixelsOf(name, side), side)

/** A form as a browser sends it. */
export function form(
  fields: Record<string, string | Uint8Array | readonly Uint8Array[]>,
  type = 'image/png',
): FormData {
  const made = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') made.append(name, value)
    else {
      const files = value instanceof Uint8Array ? [value] : value
      for (const [at, file] of files.entries()) {
        made.append(name, new File([Buffer.from(file)], `${name}-${at}.png`, { type }))
      }
    }
  }
  return made
}

/** The gateway over a real database and a node that serves over the loopback, whose watch looks every time. */
export async function openWorld(options: DemoNodeOptions = {}): Promise<VisionWorld> {
  const [postgres, node] = await Promise.all([startMigratedPostgres(), startDemoNode({ chunkDelayMs: 0, ...options })])
  const sent: ToNode[] = []
  const queue: WorkMessage[] = []
  const pages = new Map<string, () => Response>()
  const outbound = createOutbound({
    trustedOrigins: [node.url, node.agentUrl],
    testOrigins: ['https://pictures.test'],
    deniedHosts: [],
    dohUrl: 'https://doh.test',
    now: Date.now,
    fetch: async (input, init) => {
      const url = new URL(String(input))
      const page = pages.get(url.href)
      if (page) return page()
      const { body } = init ?? {}
      const bytes = body instanceof Uint8Array ? Buffer.from(body).toString('latin1') : body
      sent.push({ path: url.pathname, body: typeof bytes === 'string' ? bytes : '' })
      return fetch(input, init)
    },
  })
  const facts: NodeFacts = {
    id: SHARED_NODE_ID,
    isShared: true,
    endpoints: { baseUrl: node.url, agentUrl: node.agentUrl },
    limits: DEFAULT_NODE_LIMITS,
    isDraining: false,
    watch: 'shared',
  }
  const provider = createOllama({ name: 'ollama', baseUrl: node.url, node: facts, outbound })
  const gate = createGate({ exec: sqliteStorage().exec, now: Date.now })
  const watch = createWatch({
    exec: sqliteStorage().exec,
    alarm: { currentMs: () => undefined, set: () => undefined },
    intervalMs: 30_000,
    linkOf: () => provider.node,
    occupancy: gate.occupancy,
    background: () => undefined,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    now: Date.now,
  })
  const look: typeof watch.look = (wanted) => watch.look({ ...wanted, maxAgeMs: 0 })
  const { bucket, files } = memoryBucket()
  const limiter = {
    allows: async () => true,
    take: async () => ({ allowed: true, retryAfterSeconds: 0 }),
    reset: async () => {},
  }
  const gateway = await startGateway({
    vendors: [],
    deps: {
      limiter,
      bucket,
      outbound,
      db: postgres.database(),
      providers: new Map([['ollama', provider]]),
      gateOf: () => ({ ...gate, look, history: watch.history, forget: watch.forget }),
      workQueue: { send: async (messages) => void queue.push(...messages) },
    },
  })
  const settled = () => gateway.rows()
  return {
    postgres,
    gateway,
    node,
    files,
    sent,
    queue,
    pages,
    team: () => teamOf(postgres, gateway),
    work: async () => {
      await settled()
      for (const message of queue.splice(0)) await runMessage({ deps: gateway.deps, handlers: [visionWork] }, message)
    },
    runs: async (orgId) => {
      await settled()
      return (await postgres.pool.query('select * from vision_runs where org_id = $1 order by id', [orgId])).rows
    },
    close: async () => {
      await Promise.all([node.close(), postgres.close()])
    },
  }
}

async function teamOf(postgres: MigratedPostgres, gateway: TestGateway): Promise<Team> {
  const scopes = ['vision:write']
  const { orgId, apiKey } = await insert(postgres.pool, fakeSettings.keyPepper, { name: 'A team', scopes })
  return {
    orgId,
    ask: async (method, path, body, headers = {}) => {
      const init = { method, headers: { authorization: `Bearer ${apiKey}`, ...headers } }
      const url = path.startsWith('/api/') ? path : `/api/v1/vision${path}`
      const response =
        body instanceof FormData
          ? await gateway.call(url, undefined, { ...init, body })
          : await gateway.call(url, body, init)
      const text = await response.text()
      return { status: response.status, text, body: text === '' ? {} : JSON.parse(text) }
    },
  }
}
