import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { checkMessages } from './anthropic-rules.ts'
import { eventsFor, inputTokens, messageFor, scriptOf } from './anthropic-says.ts'

export type FakeAnthropic = {
  /** Without `/v1`. */
  url: string
  requests(): number
  /** Requests that were refused for thoughts that were missing or not signed as they stand. */
  signatureErrors(): number
  lastBody(): unknown
  lastHeaders(): Record<string, string>
  close(): Promise<void>
}

const models = ['claude-haiku-4-5', 'claude-opus-4-5', 'claude-sonnet-4-6', 'claude-opus-5']
const PAGE = 3
const versions = ['2023-06-01', '2026-10-21']

const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

/** What no caller may read: each error tells it. */
export const planted = {
  organization: '7d0c2d1e-6a53-4b0b-9a3e-2f6f1f0c9a11',
  workspace: 'wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ',
  otherKey: 'sk-ant-api03-planted-in-an-error',
}

/** The vendor's newer clients send their key as a bearer. */
const keyIn = ({ headers }: IncomingMessage): string =>
  String(headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '') ?? '')

function errorBody(type: string, message: string, request: IncomingMessage) {
  const { organization, workspace, otherKey } = planted
  const about = `(org ${organization}, ${workspace}, keys ${otherKey} and ${keyIn(request)}, at ${request.headers.host})`
  return { type: 'error', error: { type, message: `${message} ${about}` }, request_id: 'req_011CSHoEeqs5C35K2UUqR7Fy' }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const headers = { 'content-type': 'application/json', 'anthropic-organization-id': planted.organization }
  response.writeHead(status, status === 429 ? { ...headers, 'retry-after': '7' } : headers).end(JSON.stringify(value))
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function listModels(url: URL, response: ServerResponse): void {
  const after = url.searchParams.get('after_id')
  const start = after === null ? 0 : models.indexOf(after) + 1
  const page = models.slice(start, start + Math.min(PAGE, Number(url.searchParams.get('limit') ?? 20)))
  send(response, 200, {
    data: page.map((id) => ({
      type: 'model',
      id,
      display_name: id,
      created_at: '2026-01-01T00:00:00Z',
      max_input_tokens: 200_000,
    })),
    first_id: page[0],
    last_id: page.at(-1),
    has_more: start + page.length < models.length,
  })
}

function answerMessages(seen: Seen, request: IncomingMessage, response: ServerResponse) {
  const fail = (type: string, message: string) =>
    send(response, statuses[type] ?? 500, errorBody(type, message, request))
  const checked = checkMessages(seen.body)
  if (!checked.ok && /signature|thinking/.test(checked.complaint)) seen.signatureErrors += 1
  if (!checked.ok) return fail('invalid_request_error', checked.complaint)
  const script = scriptOf(checked.request)
  if (script.error !== undefined) return fail(script.error, 'As you asked.')
  const message = messageFor(checked.request, script)
  if (checked.request.stream !== true) return send(response, 200, message)
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  const events = eventsFor(message)
  if (script.late !== undefined) {
    const error = errorBody(script.late, 'As you asked.', request)
    response.end(`${events.slice(0, 4).join('')}event: error\ndata: ${JSON.stringify(error)}\n\n`)
  } else if (script.cut) response.write(events.slice(0, -2).join(''), () => response.destroy())
  else response.end(events.join(''))
}

type Seen = { requests: number; signatureErrors: number; body: unknown; headers: IncomingMessage['headers'] }

async function handle(seen: Seen, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://fake')
  seen.headers = request.headers
  const fail = (type: string, message: string) =>
    send(response, statuses[type] ?? 500, errorBody(type, message, request))
  if (!keyIn(request).startsWith('sk-ant-fake')) {
    return fail('authentication_error', 'invalid x-api-key')
  }
  if (!versions.includes(String(request.headers['anthropic-version']))) {
    return fail('invalid_request_error', 'anthropic-version: header is required')
  }
  if (request.method === 'GET' && url.pathname === '/v1/models') return listModels(url, response)
  if (request.method !== 'POST') return fail('not_found_error', 'Not Found')
  seen.requests += 1
  seen.body = JSON.parse(await textOf(request))
  if (url.pathname === '/v1/messages') return answerMessages(seen, request, response)
  if (url.pathname !== '/v1/messages/count_tokens') return fail('not_found_error', 'Not Found')
  const checked = checkMessages(seen.body, { counting: true })
  if (!checked.ok) return fail('invalid_request_error', checked.complaint)
  return send(response, 200, { input_tokens: inputTokens(checked.request) })
}

/**
 * A vendor on loopback that speaks Anthropic's Messages wire and refuses what the real one refuses: turns in the wrong
 * order, calls without results, forged thoughts, fields it does not know. Keys begin with `sk-ant-fake`. What it
 * answers is told by the last text of the conversation, see `anthropic-says.ts`.
 */
export async function startFakeAnthropic(): Promise<FakeAnthropic> {
  const seen: Seen = { requests: 0, signatureErrors: 0, body: undefined, headers: {} }
  const server = createServer((request, response) => {
    handle(seen, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else send(response, 500, errorBody('api_error', String(error), request))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('The fake has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests: () => seen.requests,
    signatureErrors: () => seen.signatureErrors,
    lastBody: () => seen.body,
    lastHeaders: () => Object.fromEntries(Object.entries(seen.headers).map(([name, value]) => [name, String(value)])),
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
