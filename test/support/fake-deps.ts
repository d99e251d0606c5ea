import type { Admission, Admit, Policy } from '../../src/core/admission.ts'
import type { Deps, Log } from '../../src/core/context.ts'
import { AppError } from '../../src/core/errors.ts'
import { newId } from '../../src/core/ids.ts'
import type { JobDeps } from '../../src/core/jobs.ts'
import type { Mail, Mailer } from '../../src/core/mail.ts'
import { createMemory } from '../../src/core/memory.ts'
import type { Settings } from '../../src/core/settings.ts'

export const fakeSettings: Settings = {
  environment: 'test',
  logLevel: 'debug',
  version: '0.0.0-test',
  databaseUrl: 'postgres://nowhere',
  neonProxyUrl: undefined,
  redisUrl: 'http://nowhere',
  redisToken: 'none',
  keyPepper: 'pepper',
  passwordPepper: 'other pepper',
  kekCurrent: Buffer.alloc(32, 1).toString('base64'),
  kekPrevious: undefined,
  issuer: 'https://helix.test',
  registration: 'closed',
  vendors: {},
  ollamaBaseUrl: undefined,
  ollamaConcurrency: 4,
  nodeToken: undefined,
  nodeSpeechUrl: undefined,
  nodeAgentUrl: undefined,
  nodeAccessId: undefined,
  nodeAccessSecret: undefined,
  metricsToken: undefined,
  mailUrl: undefined,
  mailApiKey: undefined,
  mailFrom: undefined,
  outboundTestOrigins: [],
  dohUrl: 'http://nowhere',
  holdGraceMs: 0,
}

export type LogLine = { level: keyof Log; event: string; facts: Record<string, unknown> }

/** A log that is kept. */
export function keptLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at =
    (level: keyof Log) =>
    (event: string, facts: Record<string, unknown> = {}) => {
      lines.push({ level, event, facts })
    }
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

/** A mailer that keeps what it sends. */
export function keptMailer(): { mailer: Mailer; sent: Mail[] } {
  const sent: Mail[] = []
  return { mailer: { send: async (mail) => void sent.push(mail) }, sent }
}

const refuse = (name: string) => () => {
  throw new Error(`this test has no ${name}`)
}

/** Dependencies that refuse every use of the outside world; a test gives the ones it is about. */
export function fakeDeps(given: Partial<Deps> = {}): Deps {
  let time = 1_700_000_000_000
  const now = () => time++
  return {
    settings: fakeSettings,
    db: { query: refuse('database'), atomically: refuse('database') },
    redis: { run: refuse('redis'), pipeline: refuse('redis') },
    ledgerOf: refuse('ledger'),
    health: { read: async () => [] },
    gateOf: refuse('gate'),
    limiter: { allows: refuse('limiter'), take: refuse('limiter'), reset: refuse('limiter') },
    outbound: refuse('outbound'),
    mailer: { send: refuse('mailer') },
    providers: new Map(),
    makeProvider: refuse('provider of an account'),
    assets: undefined,
    workQueue: { send: refuse('queue of jobs') },
    bucket: { put: refuse('bucket'), get: refuse('bucket'), remove: refuse('bucket') },
    memory: createMemory(),
    log: keptLog().log,
    now,
    random: () => 0.5,
    newId: (prefix) => newId(prefix, now()),
    ...given,
  }
}

export function fakePolicy(given: Partial<Policy> = {}): Policy {
  return {
    version: '1',
    orgId: 'org_1',
    keyId: 'key_1',
    kind: 'api_key',
    mode: 'live',
    scopes: [],
    allowedModels: undefined,
    expiresAt: undefined,
    limits: [],
    budgets: [],
    ...given,
  }
}

/** A caller who was let in and holds nothing. */
export function fakeAdmission(policy: Partial<Policy> = {}): Admission {
  return {
    policy: fakePolicy(policy),
    held: false,
    openBreakers: new Map(),
    cached: undefined,
    tokenCharges: [],
    requests: undefined,
    tokens: undefined,
  }
}

export type AdmitCall = { credential: string | undefined; ip: string; scope: string; requestId: string }

/**
 * Admission without stores: a key is known with its scopes or not at all, and every call of it is counted. What a real
 * admission refuses with 401 and 403, this one does too.
 */
export function fakeAdmit(given: Readonly<Record<string, readonly string[]>>, result: Partial<Admission> = {}) {
  const keys = new Map(Object.entries(given))
  const calls: (AdmitCall & { ask: unknown })[] = []
  const admit: Admit = async (_deps, request, ask) => {
    const { credential, ip, scope, requestId } = request
    const scopes = credential === undefined ? undefined : keys.get(credential)
    if (scopes === undefined) throw new AppError('invalid_api_key', 'This key is not valid.')
    const policy = fakePolicy({ scopes })
    if (!scopes.includes(scope)) throw new AppError('permission_denied', `This key lacks the scope ${scope}.`)
    calls.push({ credential, ip, scope, requestId, ask: await ask(policy) })
    return { ...fakeAdmission(policy), ...result }
  }
  return { admit, calls }
}

/** Collects what a request leaves for after its reply. */
export function fakeExecution() {
  const deferred: Promise<unknown>[] = []
  return {
    waitUntil: (work: Promise<unknown>) => {
      deferred.push(work)
    },
    settled: () => Promise.all(deferred),
  }
}

/** The same for a job. */
export function fakeJobDeps(given: Partial<JobDeps> = {}): JobDeps {
  const { db, redis, ledgerOf, workQueue, bucket, memory, log, now, newId, settings } = fakeDeps()
  const system = { query: refuse('system') }
  return { db, redis, ledgerOf, workQueue, bucket, memory, log, now, newId, settings, system, ...given }
}
