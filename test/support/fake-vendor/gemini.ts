import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type GenerateRequest, refusalOf } from './gemini-rules.ts'
import { beatsFor, promptTokens, usageFor, wishesOf } from './gemini-says.ts'

export type FakeGemini = {
  /** Without `/v1beta`. */
  url: string
  requests(): number
  /** Requests that were refused for a signature that was missing or not its call's. */
  signatureErrors(): number
  lastBody(): unknown
  lastPath(): string
  close(): Promise<void>
}

/** What no caller may read: each error tells it. */
export const plantedInGemini = {
  project: '482910573321',
  otherKey: 'AIzaSyPlantedInAnErrorOfTheVendor1234567',
  host: 'staging-generativelanguage.sandbox.googleapis.com',
}

const models = [
  'gemini-2.5-flash',
  'gemini-2.5-pro',
  'gemini-3-flash-preview',
  'gemini-3.1-pro-preview',
  'gemini-embedding-001',
]
const PAGE = 2
const DIMENSIONS = 8

const codes: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

function errorOf(status: number, message: string, details: readonly unknown[] = []) {
  const { project, otherKey, host } = plantedInGemini
  const about = `(projects/${project}, project_number:${project}, key ${otherKey}, at https://${host}/x and ${host})`
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1.5s' }
  const all = status === 429 ? [...details, retry] : details
  return { error: { code: status, message: `${message} ${about}`, status: codes[status] ?? 'UNKNOWN', details: all } }
}

type Reply = { status: number; value: unknown }

const refused = (status: number, message: string, details: readonly unknown[] = []): Reply => ({
  status,
  value: errorOf(status, message, details),
})

function send(response: ServerResponse, { status, value }: Reply): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(value))
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? undefined : JSON.parse(text)
}

function listModels(url: URL): Reply {
  const start = Number(url.searchParams.get('pageToken') ?? 0)
  const rows = models
    .slice(start, start + Math.min(PAGE, Number(url.searchParams.get('pageSize') ?? 50)))
    .map((name) => ({
      name: `models/${name}`,
      inputTokenLimit: 1_048_576,
      supportedGenerationMethods: name.includes('embedding') ? ['embedContent'] : ['generateContent', 'countTokens'],
    }))
  const next = start + rows.length
  return { status: 200, value: { models: rows, ...(next < models.length ? { nextPageToken: String(next) } : {}) } }
}

/** The events of an answer: whole responses with the next parts each. */
function responsesFor(request: GenerateRequest, model: string) {
  const common = { modelVersion: model, responseId: `resp-${request.contents.length}` }
  const { block } = wishesOf(request)
  if (block !== undefined) {
    const usageMetadata = { promptTokenCount: promptTokens(request), totalTokenCount: promptTokens(request) }
    return [{ promptFeedback: { blockReason: block }, usageMetadata, ...common }]
  }
  const beats = beatsFor(request, model)
  return beats.map(({ parts, finishReason }, at) => ({
    candidates: [{ content: { parts, role: 'model' }, ...(finishReason ? { finishReason } : {}), index: 0 }],
    usageMetadata: usageFor(request, beats.slice(0, at + 1)),
    ...common,
  }))
}

function stream(request: GenerateRequest, model: string, response: ServerResponse): void {
  const { late, cut } = wishesOf(request)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const events = responsesFor(request, model).map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`)
  if (cut !== undefined) return void response.write(events[0] ?? '', () => response.destroy())
  if (late === undefined) return void response.end(events.join(''))
  response.end(`${events[0]}data: ${JSON.stringify([errorOf(Number(late), 'Too late.')])}\r\n\r\n`)
}

function answer(request: GenerateRequest, model: string): Reply {
  const events = responsesFor(request, model)
  const contents = events.flatMap((event) => ('candidates' in event ? event.candidates : []))
  if (contents.length === 0) return { status: 200, value: events[0] }
  const parts = contents.flatMap(({ content }) => content.parts)
  const candidate = { content: { parts, role: 'model' }, finishReason: contents.at(-1)?.finishReason, index: 0 }
  return { status: 200, value: { ...events.at(-1), candidates: [candidate] } }
}

type EmbedRequest = {
  requests: { model: string; outputDimensionality?: number; content: { parts: { text: string }[] } }[]
}

function embed({ requests }: EmbedRequest): Reply {
  if (requests.length > 100) return refused(400, 'at most 100 requests can be in one batch')
  const embeddings = requests.map(({ content, outputDimensionality = DIMENSIONS }) => ({
    values: Array.from({ length: outputDimensionality }, (_, at) => (content.parts[0]?.text.length ?? 0) + at),
  }))
  return { status: 200, value: { embeddings } }
}

/**
 * The Gemini API on loopback, as strict as the real one about fields, turns and thought signatures. What it says
 * follows the wishes in the last user message (`gemini-says.ts`).
 */
export async function startFakeGemini(): Promise<FakeGemini> {
  let requests = 0
  let signatureErrors = 0
  let lastBody: unknown
  let lastPath = ''

  /** Undefined where the response was written already. */
  async function reply(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const url = new URL(request.url ?? '/', 'http://fake')
    lastPath = request.url ?? ''
    requests += 1
    if (!String(request.headers['x-goog-api-key'] ?? '').startsWith('AIza-fake')) {
      const reason = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' }
      return refused(400, 'API key not valid. Please pass a valid API key.', [reason])
    }
    if (request.method === 'GET' && url.pathname === '/v1beta/models') return listModels(url)
    const [, model = '', method = ''] = /^\/v1beta\/models\/([^/:]+):(\w+)$/.exec(url.pathname) ?? []
    if (!models.includes(decodeURIComponent(model))) {
      return refused(404, `models/${model} is not found for API version v1beta.`)
    }
    lastBody = await bodyOf(request)
    if (method === 'batchEmbedContents') return embed(lastBody as EmbedRequest)
    if (method === 'countTokens') return countTokens(model)
    const { body, refusal } = checked(lastBody, model)
    if (refusal !== undefined) return refusal
    if (method !== 'streamGenerateContent') return answer(body, model)
    stream(body, model, response)
    return undefined
  }

  function countTokens(model: string): Reply {
    const { generateContentRequest } = lastBody as { generateContentRequest: GenerateRequest & { model: string } }
    const { model: named, ...request } = generateContentRequest
    const { body, refusal } = checked(request, model)
    if (named !== `models/${model}`) return refused(400, 'The model is named twice, and not alike.')
    return refusal ?? { status: 200, value: { totalTokens: promptTokens(body) } }
  }

  function checked(given: unknown, model: string): { body: GenerateRequest; refusal?: Reply } {
    const problem = refusalOf(given, model)
    if (problem?.includes('signature')) signatureErrors += 1
    const body = given as GenerateRequest
    if (problem !== undefined) return { body, refusal: refused(400, problem) }
    const { error } = wishesOf(body)
    return error === undefined ? { body } : { body, refusal: refused(Number(error), 'As you wish.') }
  }

  const server = createServer((request, response) => {
    reply(request, response)
      .catch((error: unknown) => refused(500, String(error)))
      .then((made) => made && send(response, made))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('The fake has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests: () => requests,
    signatureErrors: () => signatureErrors,
    lastBody: () => lastBody,
    lastPath: () => lastPath,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
