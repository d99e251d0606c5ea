import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { guardAccess } from './access.ts'
import { createCatalog } from './catalog.ts'
import { isHttpFailure, nativeError, openaiError } from './failures.ts'
import { sendJson, sendText } from './responses.ts'
import { matchRoute } from './routes.ts'
import { createRunners } from './runners.ts'
import { installScripted, openScript } from './script-book.ts'
import type { DemoScript, NodeState } from './types.ts'

export type { DemoScript, ScriptedReply } from './types.ts'

/** A GPU node that speaks Ollama's API without any model behind it. */
export type DemoNode = {
  /** `http://127.0.0.1:port`, without a trailing slash. */
  url: string
  /** Stops listening and drops every open connection; may be called again. */
  close(): Promise<void>
  /** Requests seen, for tests. */
  requests(): number
  /** Answers being sent right now. */
  activeGenerations(): number
  /** Answers that ended because the client went away. */
  abortedGenerations(): number
}

export type DemoNodeOptions = {
  /** 0 (the default) takes any free port. */
  port?: number
  /** Default 127.0.0.1. */
  host?: string
  /** Pause between pieces and between pull steps; default 15. */
  chunkDelayMs?: number
  /** Larger bodies are refused with 413; default 64 MiB. */
  maxBodyBytes?: number
  /** Faults and fixed answers by prefix of the model name. */
  script?: DemoScript
  /** The clock behind `created_at`, `expires_at` and keep-alive. */
  nowMs?: () => number
  log?: (message: string) => void
}

const defaultChunkDelayMs = 15
const defaultMaxBodyBytes = 64 * 1024 * 1024

function createState(options: DemoNodeOptions): NodeState {
  const nowMs = options.nowMs ?? Date.now
  const catalog = createCatalog(nowMs())
  const script = options.script ?? {}
  installScripted(script, catalog, nowMs())
  return {
    catalog,
    runners: createRunners(nowMs),
    blobs: new Set(),
    chunkDelayMs: options.chunkDelayMs ?? defaultChunkDelayMs,
    maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes,
    counters: { requests: 0, activeGenerations: 0, abortedGenerations: 0, answers: 0 },
    scriptFor: openScript(script),
    nowMs,
  }
}

/** Writes the error in the shape of the path's family; after the headers only dropping the connection is honest. */
function sendFailure(path: string, response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const status = isHttpFailure(error) ? error.status : 500
  const message = error instanceof Error ? error.message : String(error)
  if (isHttpFailure(error)) for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value)
  sendJson(response, status, path.startsWith('/v1/') ? openaiError(status, message) : nativeError(message))
}

async function serve(node: NodeState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').replace(/\?.*$/s, '')
  if (guardAccess(request, response)) return
  const match = matchRoute(request.method ?? 'GET', path)
  if ('status' in match) {
    if (match.allow !== '') response.setHeader('allow', match.allow)
    return sendText(response, match.status, match.status === 405 ? '405 method not allowed' : '404 page not found')
  }
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  try {
    await match.handler({ node, request, response, signal: gone.signal, parameter: match.parameter })
  } catch (error) {
    if (!gone.signal.aborted) sendFailure(path, response, error)
  }
}

async function listen(server: Server, options: DemoNodeOptions): Promise<string> {
  const host = options.host ?? '127.0.0.1'
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the demo node has no TCP address')
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
}

/**
 * Starts the node.
 *
 * @throws Error (`EADDRINUSE` and the like) when the port cannot be taken.
 */
export async function startDemoNode(options: DemoNodeOptions = {}): Promise<DemoNode> {
  const node = createState(options)
  const server = createServer((request, response) => {
    node.counters.requests += 1
    response.setHeader('x-demo-node', 'true')
    const startedAtMs = performance.now()
    response.once('close', () => {
      const took = Math.round(performance.now() - startedAtMs)
      options.log?.(`${request.method} ${request.url} ${response.statusCode} ${took} ms`)
    })
    void serve(node, request, response)
  })
  const url = await listen(server, options)
  let closing: Promise<void> | undefined
  const close = () =>
    new Promise<void>((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()))
      server.closeAllConnections()
    })
  return {
    url,
    close: () => {
      closing ??= close()
      return closing
    },
    requests: () => node.counters.requests,
    activeGenerations: () => node.counters.activeGenerations,
    abortedGenerations: () => node.counters.abortedGenerations,
  }
}
