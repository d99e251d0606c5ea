import { createServer, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { isWrite } from './commands.ts'
import { openEmbedded, openUpstream } from './engine.ts'
import { createRoutes } from './routes.ts'
import { startSnapshots } from './snapshot.ts'
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
  const { token, upstream, snapshotFile, maxBodyBytes = 10 * 1024 * 1024, commandTimeoutMs = 5_000 } = options
  const log = options.log ?? (() => {})
  if (token === '') throw new Error('the local Redis needs a token')
  const engine = upstream === undefined ? await openEmbedded(log) : await openUpstream(upstream, commandTimeoutMs, log)
  const intervalMs = SNAPSHOT_INTERVAL_MS
  const snapshots =
    snapshotFile !== undefined && upstream === undefined
      ? await startSnapshots({ client: engine.client, file: snapshotFile, intervalMs, log })
      : undefined
  const subscriptions = createSubscriptions(engine.client)
  const counts = { http: 0, commands: 0 }
  const routes = createRoutes({
    engine,
    subscriptions,
    token,
    maxBodyBytes,
    commandTimeoutMs,
    onCommands(commands) {
      counts.commands += commands.length
      if (commands.some(isWrite)) snapshots?.touch()
    },
    onRequest() {
      counts.http += 1
    },
  })
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 60_000, headersTimeout: 10_000 }, routes)
  server.on('clientError', answerBrokenRequest)

  async function stop(): Promise<void> {
    subscriptions.close()
    await closeServer(server)
    await snapshots?.close()
    await engine.close()
  }

  try {
    const port = await listen(server, options.port ?? 0)
    let stopped: Promise<void> | undefined
    return {
      url: `http://${HOST}:${port}`,
      token,
      requests: () => ({ ...counts }),
      close() {
        stopped ??= stop()
        return stopped
      },
    }
  } catch (error) {
    await engine.close()
    throw error
  }
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
