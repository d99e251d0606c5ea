import { readJson } from './body.ts'
import { embed, readInput } from './embed-routes.ts'
import { httpFailure } from './failures.ts'
import { runInference } from './inference.ts'
import { toToolSpecs } from './native-routes.ts'
import {
  chatCompletionRequest,
  completionRequest,
  embeddingRequest,
  toNativeMessages,
  toNativeOptions,
  toThink,
} from './openai-requests.ts'
import { chatCompletionWire, completionWire } from './openai-wire.ts'
import { sendJson } from './responses.ts'
import type { Capability, Exchange } from './types.ts'

function identityFor(exchange: Exchange, prefix: string, model: string, includeUsage: boolean) {
  const { counters, nowMs } = exchange.node
  const createdAtSeconds = Math.floor(nowMs() / 1000)
  return { id: `${prefix}-${counters.requests}`, model, createdAtSeconds, includeUsage }
}

function formatOf(format: { type?: string | null | undefined; json_schema?: { schema?: unknown } | null | undefined }) {
  if (format.type === 'json_object') return 'json'
  return format.type === 'json_schema' ? format.json_schema?.schema : undefined
}

/** `POST /v1/chat/completions`. */
export async function handleChatCompletions(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'ChatCompletionRequest', chatCompletionRequest)
  const messages = toNativeMessages(body.messages ?? [])
  if (messages.length === 0) throw httpFailure(400, "[] is too short - 'messages'")
  const asked = body.model ?? ''
  if (asked === '') throw httpFailure(400, 'model is required')
  const tools = toToolSpecs(body.tools)
  const needs: Capability[] = tools.length > 0 ? ['tools'] : []
  const inference = {
    asked,
    verb: 'chat' as const,
    messages,
    tools,
    needs,
    format: body.response_format ? formatOf(body.response_format) : undefined,
    think: toThink(body.reasoning?.effort ?? body.reasoning_effort),
    options: toNativeOptions(body),
    keepAlive: undefined,
    truncate: true,
    stream: body.stream ?? false,
    empty: false,
  }
  const identity = identityFor(exchange, 'chatcmpl', asked, body.stream_options?.include_usage ?? false)
  await runInference(exchange, inference, chatCompletionWire(identity), () => undefined)
}

/** `POST /v1/completions`. */
export async function handleCompletions(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'CompletionRequest', completionRequest)
  const asked = body.model ?? ''
  const user = { role: 'user', content: body.prompt ?? '', images: [], toolCalls: [], toolName: undefined }
  const needs: Capability[] = body.suffix ? ['insert'] : []
  const inference = {
    asked,
    verb: 'generate' as const,
    messages: [user],
    tools: [],
    needs,
    format: undefined,
    think: undefined,
    options: toNativeOptions(body),
    keepAlive: undefined,
    truncate: true,
    stream: body.stream ?? false,
    empty: user.content === '',
  }
  const identity = identityFor(exchange, 'cmpl', asked, body.stream_options?.include_usage ?? false)
  const wire = completionWire(identity)
  await runInference(exchange, inference, wire, () => {
    const summary = { promptTokens: 0, evalTokens: 0, totalNs: 0, loadNs: 0, promptNs: 0, evalNs: 0 }
    const answer = { thinking: '', content: '', pieces: [], toolCalls: [] }
    sendJson(exchange.response, 200, wire.whole(answer, { ...summary, doneReason: 'stop' }))
  })
}

function floatsToBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}

/** `POST /v1/embeddings`. */
export async function handleOpenaiEmbeddings(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'EmbedRequest', embeddingRequest)
  const encoding = (body.encoding_format ?? '').toLowerCase()
  if (!['', 'float', 'base64'].includes(encoding)) {
    const rule = "Supported values: ['float', 'base64']."
    throw httpFailure(400, `Invalid value for 'encoding_format' = ${body.encoding_format}. ${rule}`)
  }
  const input = body.input === '' ? [''] : readInput(body.input)
  if (input.length === 0) throw httpFailure(400, 'invalid input')
  const asked = body.model ?? ''
  const embedded = await embed(exchange, {
    asked,
    input,
    truncate: true,
    dimensions: body.dimensions ?? 0,
    options: undefined,
    keepAlive: undefined,
    notFound: `model '${asked}' not found`,
  })
  if (!embedded) return
  const data = embedded.vectors.map((vector, index) => ({
    object: 'embedding',
    embedding: encoding === 'base64' ? floatsToBase64(vector) : vector,
    index,
  }))
  const usage = { prompt_tokens: embedded.tokens, total_tokens: embedded.tokens }
  sendJson(exchange.response, 200, { object: 'list', data, model: asked, usage })
}

function modelEntry(id: string, name: string, modifiedAtMs: number) {
  const owner = name.includes('/') ? name.slice(0, name.indexOf('/')) : 'library'
  return { id, object: 'model', created: Math.floor(modifiedAtMs / 1000), owned_by: owner }
}

/** `GET /v1/models`. */
export function handleModels({ node, response }: Exchange): void {
  const data = node.catalog.list().map((model) => modelEntry(model.name, model.name, model.modifiedAtMs))
  sendJson(response, 200, { object: 'list', data })
}

/** `GET /v1/models/:model`. */
export function handleModel({ node, response, parameter }: Exchange): void {
  const model = node.catalog.find(parameter)
  if (!model) throw httpFailure(404, `model '${parameter}' not found`)
  sendJson(response, 200, modelEntry(parameter, model.name, model.modifiedAtMs))
}
