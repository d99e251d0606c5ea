import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { errorBody, unknownModel, wrongKey } from './errors.ts'
import { type Asked, answer, speechOf } from './exchange.ts'
import { checkChat, checkCompletion, checkEmbedding } from './request.ts'
import { directivesIn, parseScript, plainScript, type Script } from './script.ts'
import { type Directives, standingFrom } from './standing.ts'
import { createTruth, type TruthRow } from './truth.ts'

export type { TruthRow } from './truth.ts'

export type FakeVendor = {
  /** Ends in `/v1`. */
  url: string
  /** Calls of models, refused ones included; listing models is none. */
  requests(): number
  truth(): readonly TruthRow[]
  /** Billed tokens, and how many calls were billed. */
  totals(): { prompt: number; completion: number; calls: number }
  /** Requests whose client left before the end. */
  aborted(): number
  lastBody(): unknown
  lastHeaders(): Record<string, string>
  /** Directives for every request that brings none of its own, or what says them for each; undefined ends that. */
  always(directives: Directives): void
  reset(): void
  close(): Promise<void>
}

const models = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'text-embedding-3-small', 'text-embedding-3-large']
const modelRow = (id: string) => ({ id, object: 'model', created: 1_715_367_049, owned_by: 'system' })

/** What no vendor has: asking for it is a 404. */
const isUnknownModel = (model: string) => model.startsWith('no-such-')

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

/** Rejects when the body is no JSON, or breaks off. */
function bodyOf(request: IncomingMessage): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('error', reject)
    request.once('end', () => {
      try {
        resolve(JSON.parse(Buffer.concat(chunks).toString()))
      } catch (error) {
        reject(error)
      }
    })
  })
}

/** Reads a body as what its path asks for; undefined for a path that is not here. */
function readAsked(path: string, body: unknown): { asked: Asked } | { refusal: unknown } | undefined {
  if (path === '/v1/chat/completions') {
    const checked = checkChat(body)
    return checked.ok ? { asked: { endpoint: 'chat', body: checked.body } } : checked
  }
  if (path === '/v1/completions') {
    const checked = checkCompletion(body)
    return checked.ok ? { asked: { endpoint: 'completions', body: checked.body } } : checked
  }
  if (path !== '/v1/embeddings') return undefined
  const checked = checkEmbedding(body)
  return checked.ok ? { asked: { endpoint: 'embeddings', body: checked.body } } : checked
}

function createState() {
  const truth = createTruth()
  const uses = new Map<string, number>()
  let standing: Directives
  let [running, most] = [0, 0]
  let last: { body: unknown; headers: IncomingMessage['headers'] } = { body: undefined, headers: {} }
  const standingNow = (): string | undefined => (typeof standing === 'function' ? standing() : standing)
  return {
    truth,
    last: () => last,
    /** The most calls that ran at once. */
    most: () => most,
    ran: (response: ServerResponse) => {
      running += 1
      most = Math.max(most, running)
      response.once('close', () => {
        running -= 1
      })
    },
    remember: (body: unknown, { headers }: IncomingMessage) => {
      last = { body, headers }
    },
    always: (directives: Directives) => {
      if (typeof directives === 'string') parseScript(directives)
      standing = directives
    },
    /** `times=n` makes the same directives of the same caller hold for its first n requests only. */
    scriptFor(asked: Asked, marker: string | undefined): Script {
      const source = directivesIn(speechOf(asked)) ?? directivesIn(asked.body.model) ?? standingNow()
      if (source === undefined) return plainScript
      const script = parseScript(source)
      if (script.times === undefined) return script
      const key = `${marker}|${source}`
      const used = (uses.get(key) ?? 0) + 1
      uses.set(key, used)
      return used > script.times ? plainScript : script
    },
    reset: () => {
      truth.reset()
      most = running
      uses.clear()
      standing = undefined
      last = { body: undefined, headers: {} }
    },
  }
}
type State = ReturnType<typeof createState>

async function handleCall(
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  const given = await bodyOf(request).catch((error: unknown) => error)
  if (given instanceof Error) return send(response, 400, errorBody('We could not parse the JSON body of your request.'))
  state.remember(given, request)
  const read = readAsked(path, given)
  if (!read) return send(response, 404, errorBody(`Invalid URL (POST ${path})`))
  if ('refusal' in read) {
    state.truth.open({ marker: undefined, endpoint: 'other', model: '', stream: false, fault: undefined }).status = 400
    return send(response, 400, read.refusal)
  }
  state.ran(response)
  const { endpoint, body } = read.asked
  const marker = body.metadata?.marker ?? body.user ?? undefined
  const script = state.scriptFor(read.asked, marker)
  const row = state.truth.open({
    marker,
    endpoint,
    model: body.model,
    stream: body.stream === true,
    fault: script.source,
  })
  if (isUnknownModel(body.model)) {
    row.status = 404
    return send(response, 404, unknownModel(body.model))
  }
  return answer({ asked: read.asked, script, row, response })
}

/** Benchmarks run the vendor as a process of its own and reach its memory by these. */
function handleControl(state: State, route: string, query: URLSearchParams): unknown {
  const { truth } = state
  if (route === 'GET /__truth') {
    const rows = query.has('totals') ? undefined : truth.rows()
    return { requests: truth.requests(), aborted: truth.aborted(), most: state.most(), totals: truth.totals(), rows }
  }
  if (route === 'POST /__reset') state.reset()
  else if (route === 'POST /__always') state.always(standingFrom(query))
  else throw new Error(`No control ${route}`)
  return {}
}

async function handle(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '/'
  if (path.startsWith('/__')) {
    const { pathname, searchParams } = new URL(path, 'http://control')
    return send(response, 200, handleControl(state, `${request.method} ${pathname}`, searchParams))
  }
  const authorization = request.headers.authorization ?? ''
  if (!authorization.startsWith('Bearer sk-fake')) {
    return send(response, 401, wrongKey(authorization.replace(/^Bearer /, '')))
  }
  if (request.method === 'POST') return handleCall(state, request, response, path)
  if (request.method !== 'GET') return send(response, 405, errorBody(`Not allowed to ${request.method} on ${path}.`))
  if (path === '/v1/models') return send(response, 200, { object: 'list', data: models.map(modelRow) })
  const id = decodeURIComponent(path.replace('/v1/models/', ''))
  return models.includes(id) ? send(response, 200, modelRow(id)) : send(response, 404, unknownModel(id))
}

/**
 * An OpenAI-like vendor on loopback that keeps the truth about what it was asked, what it wrote and what it billed.
 * Its conduct follows directives: `fault:` and a comma list in the last user message (or prompt, or input, or the
 * model's name), see `script.ts`. `port` 0 or none takes a free one.
 */
export async function startFakeVendor({ port = 0 }: { port?: number } = {}): Promise<FakeVendor> {
  const state = createState()
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
    handle(state, request, response).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy()
      send(response, 500, errorBody(error instanceof Error ? error.message : String(error), 'fake_vendor_error'))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('The fake vendor has no port')
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    requests: state.truth.requests,
    truth: state.truth.rows,
    totals: state.truth.totals,
    aborted: state.truth.aborted,
    lastBody: () => state.last().body,
    lastHeaders: () =>
      Object.fromEntries(Object.entries(state.last().headers).map(([name, value]) => [name, String(value)])),
    always: state.always,
    reset: state.reset,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
