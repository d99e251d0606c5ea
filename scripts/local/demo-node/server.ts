import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardAccess } from './access.ts'
import { createCatalog } from './catalog.ts'
import { isHttpFailure, nativeError, openaiError } from './failures.ts'
import { playFaults } from './inference.ts'
import { agentModels, type Offer, type Offered, speechModels } from './offered.ts'
import { sendJson, sendText } from './responses.ts'
import { matchRoute } from './routes.ts'
import { createRunners } from './runners.ts'
import { installScripted, openScript, type ScriptBook } from './script-book.ts'
import type { DemoScript, NodeState, SeenRequest, ServerName } from './types.ts'

export type { DemoScript, ScriptedReply, SeenRequest } from './types.ts'

/** A GPU node that speaks Ollama's API, a speech server's and the agent's without any model behind them. */
export type DemoNode = {
  /** Ollama's: `http://127.0.0.1:port`, without a trailing slash. */
  url: string
  speechUrl: string
  agentUrl: string
  /** Stops listening and drops every open connection; may be called again. */
  close(): Promise<void>
  /** Requests that Ollama's server has seen, for tests. */
  requests(): number
  /** The last thousand requests of all servers, the oldest first. */
  seen(): readonly SeenRequest[]
  /** Answers being sent right now. */
  activeGenerations(): number
  /** Answers that ended because the client went away. */
  abortedGenerations(): number
  /** Faults and fixed answers from now on, in place of those before. */
  script(next: DemoScript): void
  /** What the speech server and the agent have from now on. */
  offer(next: Offer): void
}

export type DemoNodeOptions = {
  /** Ollama's; 0 (the default) takes any free port. */
  port?: number
  speechPort?: number
  agentPort?: number
  /** Default 127.0.0.1. */
  host?: string
  /** Pause between pieces and between pull steps; default 15. */
  chunkDelayMs?: number
  /** Larger bodies are refused with 413; default 64 MiB. */
  maxBodyBytes?: number
  /** Faults and fixed answers by prefix of the model name, or by route. */
  script?: DemoScript
  /** Models of the speech server and of the agent; default all. */
  offer?: Offer
  /** How long a model takes that is not in memory: for all, or by name; default 0. */
  loadDelayMs?: number | Readonly<Record<string, number>>
  /** Of the card; default 24 GiB. A model that is larger does not load; the one least recently used makes room. */
  memoryMb?: number
  /** The service token that every request has to carry, as Cloudflare Access wants it; default none. */
  access?: { id: string; secret: string }
  /** The clock behind `created_at`, `expires_at` and keep-alive. */
  nowMs?: () => number
  log?: (message: string) => void
}

const defaultChunkDelayMs = 15
const defaultMaxBodyBytes = 64 * 1024 * 1024
const defaultMemoryMb = 24_576
const seenLimit = 1000

const offeredOf = ({ speech = speechModels, agent = agentModels }: Offer): Offered => ({ speech, agent })

function loadDelayOf(wanted: DemoNodeOptions['loadDelayMs']): (modelName: string) => number {
  if (wanted === undefined || typeof wanted === 'number') return () => wanted ?? 0
  return (modelName) => wanted[modelName] ?? 0
}

function createState(options: DemoNodeOptions, book: ScriptBook): NodeState {
  const nowMs = options.nowMs ?? Date.now
  const catalog = createCatalog(nowMs())
  installScripted(options.script ?? {}, catalog, nowMs())
  return {
    catalog,
    offered: offeredOf(options.offer ?? {}),
    loadDelayMs: loadDelayOf(options.loadDelayMs),
    memoryMb: options.memoryMb ?? defaultMemoryMb,
    seen: [],
    runners: createRunners(nowMs),
    blobs: new Set(),
    chunkDelayMs: options.chunkDelayMs ?? defaultChunkDelayMs,
    maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes,
    counters: { requests: 0, activeGenerations: 0, abortedGenerations: 0, answers: 0 },
    scriptFor: book.forModel,
    scriptForRoute: book.forRoute,
    nowMs,
  }
}

/** An error's body as the server at hand writes it. */
function errorBody(server: ServerName, path: string, failure: { status: number; message: string }): unknown {
  const { status, message } = failure
  if (server === 'speech') return { detail: message }
  return server === 'agent' || path.startsWith('/v1/') ? openaiError(status, message) : nativeError(message)
}

type Failed = { server: ServerName; path: string; error: unknown }

/** After the headers only dropping the connection is honest. */
function sendFailure(response: ServerResponse, { server, path, error }: Failed): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const status = isHttpFailure(error) ? error.status : 500
  const message = error instanceof Error ? error.message : String(error)
  if (isHttpFailure(error)) for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value)
  sendJson(response, status, errorBody(server, path, { status, message }))
}

function isLetIn({ headers }: IncomingMessage, access: DemoNodeOptions['access']): boolean {
  if (access === undefined) return true
  return headers['cf-access-client-id'] === access.id && headers['cf-access-client-secret'] === access.secret
}

type Serving = { server: ServerName; node: NodeState; access: DemoNodeOptions['access'] }

async function serve(serving: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { server, node, access } = serving
  const path = (request.url ?? '/').replace(/\?.*$/s, '')
  const method = request.method ?? 'GET'
  node.seen.push({ server, method, path, headers: request.headers })
  if (node.seen.length > seenLimit) node.seen.shift()
  if (!isLetIn(request, access)) return sendText(response, 403, 'Forbidden')
  if (guardAccess(request, response)) return
  const match = matchRoute(server, method, path)
  if ('status' in match) {
    if (match.allow !== '') response.setHeader('allow', match.allow)
    return sendText(response, match.status, match.status === 405 ? '405 method not allowed' : '404 page not found')
  }
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  const exchange = { server, node, request, response, signal: gone.signal, parameter: match.parameter }
  try {
    const fault = node.scriptForRoute(`${server} ${method} ${path}`)
    if (fault?.firstTokenDelayMs) await sleep(fault.firstTokenDelayMs, undefined, { signal: gone.signal })
    if (fault && (await playFaults(exchange, fault))) return
    await match.handler(exchange)
  } catch (error) {
    if (!gone.signal.aborted) sendFailure(response, { server, path, error })
  }
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  server.listen(port, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the demo node has no TCP address')
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
}

function createOne(serving: Serving, log: DemoNodeOptions['log']): Server {
  const { server, node } = serving
  return createServer((request, response) => {
    if (server === 'ollama') node.counters.requests += 1
    response.setHeader('x-demo-node', 'true')
    const startedAtMs = performance.now()
    response.once('close', () => {
      const took = Math.round(performance.now() - startedAtMs)
      log?.(`${server} ${request.method} ${request.url} ${response.statusCode} ${took} ms`)
    })
    void serve(serving, request, response)
  })
}

function closeOne(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!server.listening) return resolve()
    server.close((error) => (error ? reject(error) : resolve()))
    server.closeAllConnections()
  })
}

/**
 * Starts the node.
 *
 * @throws Error (`EADDRINUSE` and the like) when a port cannot be taken.
 */
export async function startDemoNode(options: DemoNodeOptions = {}): Promise<DemoNode> {
  const book = openScript(options.script ?? {})
  const node = createState(options, book)
  const { access, log, host = '127.0.0.1' } = options
  const [ollama, speech, agent] = [
    createOne({ server: 'ollama', node, access }, log),
    createOne({ server: 'speech', node, access }, log),
    createOne({ server: 'agent', node, access }, log),
  ]
  const closeAll = async () => void (await Promise.all([ollama, speech, agent].map(closeOne)))
  const listening = await Promise.allSettled([
    listen(ollama, { host, port: options.port ?? 0 }),
    listen(speech, { host, port: options.speechPort ?? 0 }),
    listen(agent, { host, port: options.agentPort ?? 0 }),
  ])
  const failed = listening.find((result) => result.status === 'rejected')
  if (failed) {
    await closeAll()
    throw failed.reason
  }
  const [url = '', speechUrl = '', agentUrl = ''] = listening.flatMap((result) =>
    result.status === 'fulfilled' ? [result.value] : [],
  )
  let closing: Promise<void> | undefined
  return {
    url,
    speechUrl,
    agentUrl,
    close: () => {
      closing ??= closeAll()
      return closing
    },
    requests: () => node.counters.requests,
    seen: () => node.seen,
    activeGenerations: () => node.counters.activeGenerations,
    abortedGenerations: () => node.counters.abortedGenerations,
    script: (next) => {
      book.replace(next)
      installScripted(next, node.catalog, node.nowMs())
    },
    offer: (next) => {
      node.offered = offeredOf(next)
    },
  }
}
