import { createLedgers } from '../../src/adapters/ledger.ts'
import { createOutbound } from '../../src/adapters/outbound.ts'
import { createOllama } from '../../src/adapters/providers/ollama.ts'
import { createVendors } from '../../src/adapters/providers/vendors.ts'
import { createGateway, type Gateway } from '../../src/app.ts'
import type { Policy } from '../../src/core/admission.ts'
import type { Deps } from '../../src/core/context.ts'
import type { Gate } from '../../src/core/gate.ts'
import { newId } from '../../src/core/ids.ts'
import type { LedgerRow } from '../../src/core/ledger.ts'
import { createMemory, type Gathering, type Memory } from '../../src/core/memory.ts'
import type { Provider } from '../../src/core/models.ts'
import { redisKeys } from '../../src/features/admission/keys.ts'
import { createAdmit } from '../../src/features/admission/service.ts'
import { createGate, unseen } from '../../src/features/gates/service.ts'
import { areas } from '../../src/features/index.ts'
import { createKey } from '../../src/features/keys/format.ts'
import { hashKey } from '../../src/features/keys/service.ts'
import { providersFor } from '../../src/features/providers/service.ts'
import { recordKeys } from '../../src/features/records/service.ts'
import type { Noted } from '../../src/http/arrival.ts'
import { fakeDeps, fakePolicy, fakeSettings, keptLog, type LogLine } from './fake-deps.ts'
import { type MemoryLedger, memoryLedger } from './gateway-ledger.ts'
import { type MemoryRedis, memoryRedis } from './gateway-redis.ts'
import { sqliteStorage } from './sqlite-storage.ts'

/** A request as it left the gateway. */
export type Sent = {
  /** The vendor's or the node's name. */
  to: string
  path: string
  headers: Headers
  body: Record<string, unknown>
  /** Aborted when the gateway gave the request up. */
  signal: AbortSignal
}

export type TestGatewayOptions = {
  /** Vendors with a key; each is at `https://<name>.test/v1`. */
  vendors?: readonly string[]
  /** Models of a node named `ollama`; without it there is none. */
  nodeModels?: readonly string[]
  /** How many calls the node takes at once. */
  nodeConcurrency?: number
  policy?: Partial<Policy>
  /** What vendors and the node answer to calls of models. Default: nothing answers. */
  upstream?: (sent: Sent) => Response | Promise<Response>
  now?: () => number
  deps?: Partial<Deps>
}

export type TestGateway = {
  /** A request with the key of the gateway's one caller. */
  call(path: string, body?: unknown, init?: RequestInit): Promise<Response>
  chat(body: Record<string, unknown>, init?: RequestInit): Promise<Response>
  gateway: Gateway
  apiKey: string
  /** What the gateway itself uses, and the policy of its one caller. */
  deps: Deps
  policy: Policy
  /** As a request leaves work for after its reply. */
  defer(work: Promise<unknown>): void
  ledger: MemoryLedger
  redis: MemoryRedis
  /** Calls of models that left, in order. */
  sent: readonly Sent[]
  /** What was noted of requests that settled nothing, in order. */
  noted: readonly Noted[]
  log: readonly LogLine[]
  upstream(answer: NonNullable<TestGatewayOptions['upstream']>): void
  /** Forgets what has failed: a breaker that earlier calls opened must not answer for the next. */
  heal(): void
  /** The rows, once everything that was left for after the replies is done. */
  rows(): Promise<readonly LedgerRow[]>
}

export const secretOf = (vendor: string) => `sk-secret-of-${vendor}`
const nodeUrl = 'http://node.test:11434'

/**
 * The gateway as `workers/gateway.ts` puts it together, in this process: areas, admission, routing and adapters are
 * the real ones, stores are maps, and what vendors answer is scripted byte for byte.
 */
export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { vendors = ['openai'], nodeModels, nodeConcurrency, now = Date.now } = options
  const [redis, ledger, kept] = [memoryRedis(now), memoryLedger(), keptLog()]
  const sent: Sent[] = []
  const noted: Noted[] = []
  const deferred: Promise<unknown>[] = []
  let upstream = options.upstream ?? (() => Promise.reject(new TypeError('connection refused')))
  const outbound = createOutbound({
    trustedOrigins: [...vendors.map((name) => `https://${name}.test`), nodeUrl],
    testOrigins: [],
    deniedHosts: [],
    dohUrl: 'https://doh.test',
    now,
    fetch: fetchOf((request) => {
      if (request.path === '/api/tags') return Response.json({ models: (nodeModels ?? []).map(listedModel) })
      sent.push(request)
      return upstream(request)
    }),
  })
  const apiKey = createKey('live')
  const policy = fakePolicy({ scopes: ['chat:write', 'models:read', 'semantic:write'], ...options.policy })
  const record = {
    v: policy.version,
    p: JSON.stringify(policy),
    at: String(now()),
    due: String(Number.MAX_SAFE_INTEGER),
  }
  await redis.pipeline([['HSET', recordKeys.key(await hashKey(fakeSettings.keyPepper, apiKey)), record]])
  const deps = fakeDeps({
    redis,
    outbound,
    ledgerOf: createLedgers(ledger, now),
    providers: providersOf({ vendors, hasNode: nodeModels !== undefined, nodeConcurrency }, { outbound, now }),
    gateOf: memoryGates(now),
    memory: aloneMemory(),
    log: kept.log,
    now,
    newId: (prefix) => newId(prefix, now()),
    ...options.deps,
  })
  const gateway = createGateway(areas, deps, {
    admit: createAdmit(),
    reach: providersFor,
    note: (_deps, one) => void noted.push(one),
  })
  const execution = { waitUntil: (work: Promise<unknown>) => void deferred.push(work) }

  const call: TestGateway['call'] = (path, body, init = {}) => {
    const headers = new Headers(init.headers)
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${apiKey}`)
    if (body !== undefined) headers.set('content-type', 'application/json')
    const method = body === undefined ? 'GET' : 'POST'
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const request = new Request(`https://gateway.test${path}`, { method, body: text ?? null, ...init, headers })
    return gateway(request, undefined, execution)
  }
  return {
    call,
    chat: (body, init) => call('/v1/chat/completions', body, init),
    gateway,
    apiKey,
    deps,
    policy,
    defer: execution.waitUntil,
    ledger,
    redis,
    sent,
    noted,
    log: kept.lines,
    upstream: (answer) => {
      upstream = answer
    },
    heal: () => {
      deps.memory.targets.clear()
      redis.forget(redisKeys.target(''))
    },
    async rows() {
      while (deferred.length > 0) await Promise.all(deferred.splice(0))
      return ledger.rows()
    },
  }
}

/** Settlements go one by one: whoever makes one call after the other would wait for more that never come. */
const aloneMemory = (): Memory => ({
  ...createMemory(),
  gatherings: Object.assign(new Map<string, Gathering>(), { get: () => undefined }),
})

function providersOf(
  {
    vendors,
    hasNode,
    nodeConcurrency,
  }: { vendors: readonly string[]; hasNode: boolean; nodeConcurrency?: number | undefined },
  tools: Pick<Deps, 'outbound' | 'now'>,
): ReadonlyMap<string, Provider> {
  const settings = Object.fromEntries(
    vendors.map((name) => [name, { apiKey: secretOf(name), baseUrl: `https://${name}.test/v1` }]),
  )
  const providers = createVendors({ vendors: settings, outbound: tools.outbound })
  if (hasNode) {
    providers.push(createOllama({ name: 'ollama', baseUrl: nodeUrl, maxConcurrency: nodeConcurrency, ...tools }))
  }
  return new Map(providers.map((provider) => [provider.name, provider]))
}

/** The gates before nodes and accounts, in this process. */
function memoryGates(now: () => number): Deps['gateOf'] {
  const gates = new Map<string, Gate>()
  return (id) => {
    const gate = gates.get(id) ?? inProcess(createGate({ exec: sqliteStorage().exec, now }))
    gates.set(id, gate)
    return gate
  }
}

/** A gate whose node nobody watches. */
export const inProcess = (gate: ReturnType<typeof createGate>): Gate => ({
  ...gate,
  look: async () => unseen(gate.occupancy()),
  history: async () => [],
  forget: async () => undefined,
})

/** Keeps nobody waiting and knows nothing. */
export const idleGate: Gate = {
  enter: async () => ({ ok: true }),
  renew: async () => true,
  leave: async () => undefined,
  look: async () => unseen({ inFlight: {}, waiting: 0 }),
  history: async () => [],
  forget: async () => undefined,
}

const listedModel = (name: string) => ({
  name,
  capabilities: ['completion', 'tools', 'thinking'],
  details: { context_length: 131_072 },
})

/** `fetch` with the manners of the real one: an aborted request rejects, or breaks the body that it has begun. */
function fetchOf(answer: (sent: Sent) => Response | Promise<Response>): typeof globalThis.fetch {
  return async (input, init) => {
    const { href, hostname, pathname } = new URL(String(input))
    const signal = init?.signal ?? new AbortController().signal
    const to = href.startsWith(nodeUrl) ? 'ollama' : hostname.replace('.test', '')
    const body = typeof init?.body === 'string' ? JSON.parse(init.body) : {}
    const sent = { to, path: pathname, headers: new Headers(init?.headers), body, signal }
    signal.throwIfAborted()
    const gone = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    const response = await Promise.race([answer(sent), gone])
    gone.catch(() => undefined)
    return response
  }
}
