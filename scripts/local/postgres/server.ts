import type { Backend } from './backend.ts'
import { startEmbedded } from './embedded-backend.ts'
import { type HttpListener, type Listener, listenHttp, listenTcp } from './listeners.ts'
import { createPools, type Pools } from './pools.ts'
import { createServerBackend, parseUpstream } from './server-backend.ts'

/** A Postgres for development and tests that speaks Neon's HTTP and WebSocket protocols. */
export type LocalPostgres = {
  /**
   * What NEON_PROXY_URL is set to, e.g. http://127.0.0.1:4444. Settings for @neondatabase/serverless:
   * fetchEndpoint = `${proxyUrl}/sql`, wsProxy = () => `${host:port of proxyUrl}/v2`, useSecureWebSocket = false.
   */
  proxyUrl: string
  /**
   * Connection string for a user, as DATABASE_URL wants it.
   * @throws Error when the user is not one of `users`.
   */
  urlFor(user: string): string
  tcpPort: number | undefined
  /** `POST /sql` requests and WebSocket sessions since the start. */
  requests(): { http: number; sockets: number }
  /** Ends all sessions, writes the data down and frees the data folder. */
  close(): Promise<void>
}

export type LocalPostgresOptions = {
  /** Folder for the data; undefined keeps it in memory. Ignored with `upstream`. */
  dataDir?: string | undefined
  /** postgres://host:port/database of a real server to use instead of the embedded one. */
  upstream?: string | undefined
  /** Password of each user. The embedded Postgres also needs a role of that name, made by a migration. */
  users: Readonly<Record<string, string>>
  /** Name in connection strings; the embedded Postgres has one database and accepts any name. */
  database?: string | undefined
  /** Port for HTTP and WebSocket on 127.0.0.1; 0 takes a free one. */
  port?: number | undefined
  /** Port for psql and migration tools; undefined opens none, 0 takes a free one. */
  tcpPort?: number | undefined
  /** A statement that runs longer is ended. */
  statementTimeoutMs?: number | undefined
  /** A transaction that waits longer for its client is rolled back (embedded only: it blocks everybody else). */
  idleInTransactionMs?: number | undefined
  maxRequestBytes?: number | undefined
  maxResponseBytes?: number | undefined
  log?: ((message: string) => void) | undefined
}

const DEFAULT_DATABASE = 'helix'
const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000
const DEFAULT_IDLE_IN_TRANSACTION_MS = 5_000
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024
const MAX_POOLS = 16
const MAX_CLIENTS_PER_POOL = 10
const WAIT_TIMEOUT_MS = 60_000

/**
 * Starts the listeners in front of the embedded Postgres or of the given server.
 * @throws Error with one clear sentence (folder in use, broken data, port in use, bad upstream address).
 */
export async function startPostgres(options: LocalPostgresOptions): Promise<LocalPostgres> {
  const database = options.database ?? DEFAULT_DATABASE
  const log = options.log ?? (() => undefined)
  const upstream = options.upstream === undefined ? undefined : parseUpstream(options.upstream, database)
  const statementTimeoutMs = options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS
  const backend = upstream
    ? createServerBackend(upstream, statementTimeoutMs)
    : await startEmbedded({
        dataDir: options.dataDir,
        users: options.users,
        statementTimeoutMs,
        idleInTransactionMs: options.idleInTransactionMs ?? DEFAULT_IDLE_IN_TRANSACTION_MS,
        log,
      })
  const started = await startListeners(backend, options, log)
  const { http, tcp } = started
  const host = upstream && !tcp ? `${upstream.host}:${upstream.port}` : `127.0.0.1:${tcp?.port ?? http.port}`
  return {
    proxyUrl: `http://127.0.0.1:${http.port}`,
    urlFor: (user) => connectionString({ user, users: options.users, host, database: upstream?.database ?? database }),
    tcpPort: tcp?.port,
    requests: http.requests,
    close: () => closeAll(backend, started),
  }
}

type Started = { pools: Pools; http: HttpListener; tcp: Listener | undefined }

async function startListeners(
  backend: Backend,
  options: LocalPostgresOptions,
  log: (message: string) => void,
): Promise<Started> {
  const pools = createPools({
    clientConfig: backend.clientConfig,
    maxPools: MAX_POOLS,
    maxClientsPerPool: MAX_CLIENTS_PER_POOL,
    waitTimeoutMs: WAIT_TIMEOUT_MS,
  })
  const maxRequestBytes = options.maxRequestBytes ?? DEFAULT_MAX_BYTES
  const maxResponseBytes = options.maxResponseBytes ?? DEFAULT_MAX_BYTES
  const opened: Listener[] = []
  try {
    const http = await listenHttp({ backend, pools, maxRequestBytes, maxResponseBytes, log, port: options.port ?? 0 })
    opened.push(http)
    const tcp = options.tcpPort === undefined ? undefined : await listenTcp(backend, options.tcpPort)
    return { pools, http, tcp }
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.close()))
    await backend.close()
    throw error
  }
}

/** New work stops first; the backend goes last, when nobody uses it any more. */
async function closeAll(backend: Backend, { pools, http, tcp }: Started): Promise<void> {
  await Promise.all([http.close(), tcp?.close()])
  await pools.close()
  await backend.close()
}

type ConnectionStringParts = {
  user: string
  users: Readonly<Record<string, string>>
  host: string
  database: string
}

function connectionString({ user, users, host, database }: ConnectionStringParts): string {
  const password = Object.hasOwn(users, user) ? users[user] : undefined
  if (password === undefined) throw new Error(`There is no user "${user}" in the local Postgres.`)
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  return `postgresql://${credentials}@${host}/${encodeURIComponent(database)}`
}
