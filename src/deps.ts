import { type BucketBinding, createBucket } from './adapters/bucket.ts'
import { createGates, type GateNamespace } from './adapters/gate.ts'
import { createHealth, type HealthNamespace } from './adapters/health.ts'
import { createLedgers, type LedgerNamespace } from './adapters/ledger.ts'
import { createLimiter } from './adapters/limiter.ts'
import { createLog } from './adapters/log.ts'
import { createMailer } from './adapters/mail.ts'
import { createDatabase, databaseOrigin } from './adapters/neon.ts'
import { createOutbound } from './adapters/outbound.ts'
import { createAccountProvider } from './adapters/providers/account.ts'
import { createOllama } from './adapters/providers/ollama.ts'
import { createVendors, vendorOrigins } from './adapters/providers/vendors.ts'
import { createRedis, createUpstash } from './adapters/upstash.ts'
import { createWorkQueue, type QueueBinding } from './adapters/work-queue.ts'
import type { Deps } from './core/context.ts'
import { newId } from './core/ids.ts'
import type { JobDeps } from './core/jobs.ts'
import { createMemory } from './core/memory.ts'
import type { Provider, ProviderSpec } from './core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeCredential, type NodeFacts, SHARED_NODE_ID } from './core/node.ts'
import type { Outbound } from './core/outbound.ts'
import type {
  HealthSettings,
  JobsSettings,
  LedgerSettings,
  NodeWatchSettings,
  Settings,
  SharedNodeSettings,
} from './core/settings.ts'

export type Bindings = {
  LEDGER: LedgerNamespace
  /** Without it nothing is known of the providers. */
  HEALTH?: HealthNamespace
  /** Without it nobody counts the calls that a node has at once. */
  GATES?: GateNamespace
  ASSETS?: { fetch(request: Request): Promise<Response> }
  /** Without it jobs wait until the clock sends them. */
  WORK?: QueueBinding
  /** Without it nothing can be kept that is too large for a row. */
  FILES?: BucketBinding
}

/** Name of the node that OLLAMA_BASE_URL points to. */
const NODE_NAME = 'ollama'

/** Everything the gateway can use; the only place that names adapters. Nothing here holds a socket. */
export function createDeps(settings: Settings, bindings: Bindings): Deps {
  const now = () => Date.now()
  const outbound = createSettingsOutbound(settings, now)
  const upstash = createUpstash({ url: settings.redisUrl, token: settings.redisToken })
  return {
    settings,
    db: createDatabase({ databaseUrl: settings.databaseUrl, proxyUrl: settings.neonProxyUrl, outbound }),
    redis: createRedis(upstash),
    ledgerOf: createLedgers(bindings.LEDGER, now),
    health: createHealth(bindings.HEALTH),
    gateOf: createGates(bindings.GATES),
    limiter: createLimiter(upstash),
    outbound,
    mailer: createMailer({ url: settings.mailUrl, apiKey: settings.mailApiKey, from: settings.mailFrom, outbound }),
    providers: createProviders(settings, outbound, now),
    makeProvider: (spec) => createAccountProvider(spec, { outbound, now }),
    assets: bindings.ASSETS,
    workQueue: createWorkQueue(bindings.WORK),
    bucket: createBucket(bindings.FILES),
    memory: createMemory(),
    log: createLog(settings.logLevel, now),
    now,
    random: () => Math.random(),
    newId: (prefix) => newId(prefix, now()),
  }
}

/** What the ledger object uses of it. */
export function createLedgerDeps(settings: LedgerSettings): Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'> {
  const now = () => Date.now()
  const outbound = createFixedOutbound(storeOrigins(settings), now)
  return {
    db: createDatabase({ databaseUrl: settings.databaseUrl, proxyUrl: settings.neonProxyUrl, outbound }),
    redis: createRedis(createUpstash({ url: settings.redisUrl, token: settings.redisToken })),
    log: createLog(settings.logLevel, now),
    now,
    newId: (prefix) => newId(prefix, now()),
  }
}

/** What scheduled work uses: what the ledger object does, the objects themselves, and a way across organisations. */
export function createJobDeps(
  settings: JobsSettings,
  { LEDGER, WORK, FILES }: Pick<Bindings, 'LEDGER' | 'WORK' | 'FILES'>,
): JobDeps {
  const { systemDatabaseUrl, neonProxyUrl: proxyUrl, kekCurrent, kekPrevious } = settings
  const ledgerDeps = createLedgerDeps(settings)
  const systemOrigin = databaseOrigin({ databaseUrl: systemDatabaseUrl, proxyUrl })
  const outbound = createFixedOutbound([...storeOrigins(settings), systemOrigin], ledgerDeps.now)
  const { query } = createDatabase({ databaseUrl: systemDatabaseUrl, proxyUrl, outbound })
  return {
    ...ledgerDeps,
    settings: { kekCurrent, kekPrevious },
    system: { query },
    ledgerOf: createLedgers(LEDGER, ledgerDeps.now),
    workQueue: createWorkQueue(WORK),
    bucket: createBucket(FILES),
    memory: createMemory(),
  }
}

/** What the watch over the providers uses of it: the way out leads to them alone. */
export function createWatchDeps(settings: HealthSettings): Pick<Deps, 'log' | 'now'> & { providers: Provider[] } {
  const now = () => Date.now()
  const outbound = createFixedOutbound(providerOrigins(settings), now)
  const providers = [...createProviders(settings, outbound, now).values()]
  return { providers, log: createLog(settings.logLevel, now), now }
}

/** What the watch over a node uses of it: nodes of organisations are reached as their calls reach them. */
export function createNodeWatchDeps(settings: NodeWatchSettings) {
  const now = () => Date.now()
  const outbound = createGuardedOutbound(settings, { trusted: nodeUrls(settings), now })
  return {
    settings,
    shared: createNode(settings, outbound, now)?.node,
    makeProvider: (spec: ProviderSpec) => createAccountProvider(spec, { outbound, now }),
    memory: createMemory(),
    log: createLog(settings.logLevel, now),
    now,
  }
}

/** A way out that leads to these origins alone. */
const createFixedOutbound = (trustedOrigins: readonly string[], now: () => number): Outbound =>
  createOutbound({
    trustedOrigins,
    testOrigins: [],
    deniedHosts: [],
    dohUrl: '',
    fetch: (input, init) => fetch(input, init),
    now,
  })

const storeOrigins = ({ databaseUrl, neonProxyUrl, redisUrl }: LedgerSettings): string[] => [
  databaseOrigin({ databaseUrl, proxyUrl: neonProxyUrl }),
  redisUrl,
]

const nodeUrls = ({ ollamaBaseUrl, nodeSpeechUrl, nodeAgentUrl }: SharedNodeSettings): string[] =>
  [ollamaBaseUrl, nodeSpeechUrl, nodeAgentUrl].filter((url) => url !== undefined)

const providerOrigins = (settings: SharedNodeSettings & Pick<Settings, 'vendors'>): string[] => [
  ...nodeUrls(settings),
  ...vendorOrigins(settings.vendors),
]

function createSettingsOutbound(settings: Settings, now: () => number): Outbound {
  const mail = settings.mailUrl === undefined ? [] : [settings.mailUrl]
  const trusted = [...storeOrigins(settings), ...mail, ...providerOrigins(settings)]
  return createGuardedOutbound(settings, { trusted, now })
}

type GuardSettings = LedgerSettings & SharedNodeSettings & Pick<Settings, 'issuer' | 'outboundTestOrigins' | 'dohUrl'>

/** A way out that leads to these origins, and behind the guard to those that somebody names. */
function createGuardedOutbound(
  settings: GuardSettings,
  { trusted, now }: { trusted: readonly string[]; now: () => number },
): Outbound {
  const stores = storeOrigins(settings)
  const nodes = nodeUrls(settings)
  return createOutbound({
    trustedOrigins: trusted,
    testOrigins: settings.outboundTestOrigins,
    // Nor itself: a provider that leads back here would have one call make ever more of them.
    deniedHosts: [...stores, ...nodes, settings.issuer].map((url) => new URL(url).hostname),
    dohUrl: settings.dohUrl,
    fetch: (input, init) => fetch(input, init),
    now,
  })
}

function createProviders(
  settings: SharedNodeSettings & Pick<Settings, 'vendors'>,
  outbound: Outbound,
  now: () => number,
): ReadonlyMap<string, Provider> {
  const providers = createVendors({ vendors: settings.vendors, outbound })
  const node = createNode(settings, outbound, now)
  if (node) providers.push(node)
  return new Map(providers.map((provider) => [provider.name, provider]))
}

/** The node that the environment names. */
function createNode(settings: SharedNodeSettings, outbound: Outbound, now: () => number): Provider | undefined {
  const node = sharedNodeOf(settings)
  if (!node) return undefined
  const { baseUrl } = node.endpoints
  const { ollamaConcurrency: maxConcurrency, nodeToken } = settings
  const credential = serviceTokenOf(settings)
  return createOllama({ name: NODE_NAME, baseUrl, nodeToken, credential, node, maxConcurrency, outbound, now })
}

function sharedNodeOf(settings: SharedNodeSettings): NodeFacts | undefined {
  const { ollamaBaseUrl, nodeSpeechUrl, nodeAgentUrl, ollamaConcurrency } = settings
  if (ollamaBaseUrl === undefined) return undefined
  return {
    id: SHARED_NODE_ID,
    isShared: true,
    endpoints: { baseUrl: ollamaBaseUrl, speechUrl: nodeSpeechUrl, agentUrl: nodeAgentUrl },
    limits: {
      ...DEFAULT_NODE_LIMITS,
      chat: ollamaConcurrency,
      embed: ollamaConcurrency,
      gpu_tasks: ollamaConcurrency,
    },
    isDraining: false,
    watch: 'shared',
  }
}

const serviceTokenOf = ({ nodeAccessId, nodeAccessSecret }: SharedNodeSettings): NodeCredential | undefined =>
  nodeAccessId === undefined || nodeAccessSecret === undefined
    ? undefined
    : { type: 'service_token', clientId: nodeAccessId, clientSecret: nodeAccessSecret }
