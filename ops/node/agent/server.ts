import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { decode } from './decode.ts'
import { failure, isFailure } from './errors.ts'
import { readGpus } from './gpu.ts'
import { analyse } from './measure.ts'
import type { Settings, Upstream } from './settings.ts'

export const agentVersion = '1.0.0'

const UPSTREAM_LIMIT_MS = 300_000

type Call = { request: IncomingMessage; response: ServerResponse; settings: Settings }

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(value))
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

function isAllowed({ request, settings }: Call): boolean {
  if (settings.token === undefined) return true
  const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
  return timingSafeEqual(digest(given), digest(settings.token))
}

async function readBody({ request, settings }: Call): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes: Uint8Array = chunk
    size += bytes.length
    if (size > settings.maxBodyBytes) throw failure(413, 'The body is too large.')
    chunks.push(bytes)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

async function fileOf(call: Call): Promise<Uint8Array> {
  const type = call.request.headers['content-type'] ?? ''
  if (!type.startsWith('multipart/form-data')) throw failure(415, 'The body must be multipart/form-data.')
  const body = await readBody(call)
  const form = await new Response(body, { headers: { 'content-type': type } }).formData().catch(() => {
    throw failure(400, 'The form cannot be read.')
  })
  const file = form.get('file')
  if (file === null || typeof file === 'string') throw failure(422, 'The form has no file.')
  return new Uint8Array(await file.arrayBuffer())
}

async function metrics({ response }: Call): Promise<void> {
  sendJson(response, 200, { version: agentVersion, gpus: await readGpus() })
}

async function models({ response, settings }: Call): Promise<void> {
  sendJson(response, 200, { object: 'list', data: settings.upstreams.map(({ model, task }) => ({ id: model, task })) })
}

async function measure(call: Call): Promise<void> {
  const sound = await decode(await fileOf(call))
  sendJson(call.response, 200, analyse(sound).measures)
}

/** The body goes on as it came, with its type and nothing else: the caller's credential is the agent's alone. */
async function passOn(call: Call, { url, path }: Upstream): Promise<void> {
  const body = await readBody(call)
  const gone = new AbortController()
  call.response.once('close', () => gone.abort())
  const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(UPSTREAM_LIMIT_MS)])
  const headers = { 'content-type': call.request.headers['content-type'] ?? 'application/json' }
  const answer = await fetch(url + path, { method: 'POST', headers, body, signal, redirect: 'error' }).catch(() => {
    throw failure(502, `The service for ${path} does not answer.`)
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  call.response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' })
  call.response.end(bytes)
}

const own: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  'GET /metrics': metrics,
  'GET /v1/models': models,
  'POST /v1/audio/measure': measure,
}

async function answer(call: Call): Promise<void> {
  const { request, settings } = call
  if (!isAllowed(call)) throw failure(401, 'The token is missing or wrong.')
  const path = (request.url ?? '/').replace(/\?.*$/s, '')
  const route = `${request.method} ${path}`
  const handle = Object.hasOwn(own, route) ? own[route] : undefined
  if (handle) return handle(call)
  const upstream = request.method === 'POST' ? settings.upstreams.find((entry) => entry.path === path) : undefined
  if (!upstream) throw failure(404, 'This agent has nothing there.')
  return passOn(call, upstream)
}

function sendFailure({ response }: Call, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  const status = isFailure(error) ? error.status : 500
  const message = isFailure(error) ? error.message : 'The agent failed.'
  if (!isFailure(error)) console.error(error)
  // The rest of a refused body is not read.
  if (status === 413) response.setHeader('connection', 'close')
  sendJson(response, status, { error: { message } })
}

/** The agent of a GPU machine; the caller makes it listen. */
export function createAgent(settings: Settings): Server {
  return createServer((request, response) => {
    const call = { request, response, settings }
    answer(call).catch((error: unknown) => sendFailure(call, error))
  })
}
