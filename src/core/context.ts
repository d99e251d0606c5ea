import type { Admission, Policy } from './admission.ts'
import type { Bucket } from './bucket.ts'
import type { Database } from './db.ts'
import type { Gate } from './gate.ts'
import type { HealthMonitor } from './health.ts'
import type { OrgLedger } from './ledger.ts'
import type { Limiter } from './limiter.ts'
import type { Mailer } from './mail.ts'
import type { Memory } from './memory.ts'
import type { Provider, ProviderSpec } from './models.ts'
import type { Outbound } from './outbound.ts'
import type { Redis } from './redis.ts'
import type { Arrival, MadeWithin } from './request-log.ts'
import type { Settings } from './settings.ts'
import type { WorkQueue } from './work.ts'

/** Structured log: an event's name in snake_case and its facts. Never a key, a token, a prompt or an answer. */
export type Log = Record<'debug' | 'info' | 'warn' | 'error', (event: string, facts?: Record<string, unknown>) => void>

/** What the program can use. Built once per isolate; knows nothing of any request. */
export type Deps = {
  settings: Settings
  db: Database
  redis: Redis
  ledgerOf: (orgId: string) => OrgLedger
  /** How the providers are that the environment names. */
  health: HealthMonitor
  /** The gate before a node, by its name, or before an account, by its id. */
  gateOf: (id: string) => Gate
  limiter: Limiter
  outbound: Outbound
  mailer: Mailer
  /** Configured vendors and nodes by name, in order of preference; in a `Ctx` with the accounts of its caller's organisation. */
  providers: ReadonlyMap<string, Provider>
  /** A provider that no environment names. Throws `Error` for a key that no header can carry. */
  makeProvider: (spec: ProviderSpec) => Provider
  /** Static files of the release (the reference page's script); undefined where the binding is absent. */
  assets: { fetch(request: Request): Promise<Response> } | undefined
  /** Where jobs are handed to those who do them. */
  workQueue: WorkQueue
  /** Files that are too large for a row. */
  bucket: Bucket
  memory: Memory
  log: Log
  /** Unix milliseconds. */
  now: () => number
  /** 0 ≤ n < 1. */
  random: () => number
  newId: (prefix: string) => string
}

/** Who is asking, from their policy. `keyId` is the credential's row: an API key's id, or a session's. */
export type Caller = Pick<Policy, 'orgId' | 'keyId' | 'kind' | 'userId' | 'role' | 'scopes'> & { ip: string }

/** One request's view of the program: its dependencies, who is asking, and what may run after the reply. */
export type Ctx = Deps & {
  caller: Caller
  admission: Admission
  requestId: string
  /** Aborted when the caller hangs up. */
  signal: AbortSignal
  /** Unix milliseconds at which the request came in. */
  startedMs: number
  /** What the log of requests wants to know; undefined for work that no request asked for. */
  arrival?: Arrival | MadeWithin | undefined
  defer: (work: Promise<unknown>) => void
}
