import { createServer, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { isWrite } from './commands.ts'
import { type Engine, openEmbedded, openUpstream } from './engine.ts'
import { createRoutes } from './routes.ts'
import { type Snapshots, startSnapshots } from './snapshot.ts'
import { createSubscriptions } from './subscriptions.ts'

const HOST = '127.0.0.1'
const SNAPSHOT_INTERVAL_MS = 5_000
const CLOSE_GRACE_MS = 2_000

export type LocalRedis = {
  /** For `UPSTASH_REDIS_REST_URL`. */
  url: string
  token: string
  /** HTTP requests (health checks left out) and single commands served so far. */
  requests(): { http: number; commands: number }
  /** Finishes requests under way, ends streams, saves the snapshot and frees the port. */
  close(): Promise<void>
}

export type LocalRedisOptions = {
  /** Where the embedded engine keeps its keys between runs; without it they are gone on close. */
  snapshotFile?: string
  /** `redis://…` or `rediss://…` of a real server, used in place of the embedded engine. */
  upstream?: string
  token: string
  /** 0, the default, takes any free port. */
  port?: number
  maxBodyBytes?: number
  commandTimeoutMs?: number
  log?: (message: string) => void
}

/**
 * Serves the REST API of Upstash Redis on 127.0.0.1, in front of an embedded engine or of a real Redis.
 * @throws Error when the token is empty, the port is taken, or the upstream cannot be reached
 */
export async function startRedis(options: LocalRedisOptions): Promise<LocalRedis> {
  const { token, upstream, commandTimeoutMs = 5_000, log = () => {} } = options
  if (token === '') throw new Error('the local Redis needs a token')
  const engine = upstream === undefined ? await openEmbedded(log) : await openUpstream(upstream, commandTimeoutMs, log)
  try {
    return await serve(engine, { ...options, commandTimeoutMs, log })
  } catch (error) {
    await engine.close()
    throw error
  }
}

type ServeOptions = LocalRedisOptions & { commandTimeoutMs: number; log: (message: string) => void }

async function serve(engine: Engine, options: ServeOptions): Promise<LocalRedis> {
  const { token, maxBodyBytes = 10 * 1024 * 1024, commandTimeoutMs, log } = options
  const subscriptions = createSubscriptions(engine.client)
  const counts = { http: 0, commands: 0 }
  let snapshots: Snapshots | undefined
  let stopped: Promise<void> | undefined
  const routes = createRoutes({
    engine,
    subscriptions,
    token,
    maxBodyBytes,
    commandTimeoutMs,
    log,
    onCommands(commands) {
      counts.commands += commands.length
      if (commands.some(isWrite)) snapshots?.touch()
    },
    onRequest() {
      counts.http += 1
    },
    isClosing: () => stopped !== undefined,
  })
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 60_000, headersTimeout: 10_000 }, routes)
  server.on('clientError', answerBrokenRequest)
  snapshots = await openSnapshots(engine, options)
  const port = await listen(server, options.port ?? 0)

  async function stop(): Promise<void> {
    subscriptions.close()
    await closeServer(server)
    await snapshots?.close()
    await engine.close()
  }
  return {
    url: `http://${HOST}:${port}`,
    token,
    requests: () => ({ ...counts }),
    close() {
      stopped ??= stop()
      return stopped
    },
  }
}

/** A real Redis keeps its own data; only the embedded engine needs a file. */
async function openSnapshots(engine: Engine, { snapshotFile, log }: ServeOptions): Promise<Snapshots | undefined> {
  if (snapshotFile === undefined || engine.kind === 'upstream') return undefined
  return startSnapshots({ client: engine.client, file: snapshotFile, intervalMs: SNAPSHOT_INTERVAL_MS, log })
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`the local Redis cannot listen on port ${port}: ${error.message}`)),
    )
    server.listen(port, HOST, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

/** Waits for requests under way, but not longer than the grace: a client that never reads must not hold the process. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}

/** What Node's HTTP parser refuses never becomes a request, so its answer is written by hand. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const body = JSON.stringify({ error: `ERR ${STATUS_CODES[status] ?? 'Bad Request'}` })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
