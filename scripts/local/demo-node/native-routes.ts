import { readJson } from './body.ts'
import { httpFailure } from './failures.ts'
import { runInference } from './inference.ts'
import { chatWire, generateWire, goTime, type TopLogprobs } from './native-wire.ts'
import { type ChatRequest, chatRequest, generateRequest } from './requests.ts'
import { sendJson } from './responses.ts'
import type { Capability, ChatMessage, Exchange, ToolSpec } from './types.ts'

type WireMessage = NonNullable<ChatRequest['messages']>[number]
type WireTool = NonNullable<ChatRequest['tools']>[number]

function toMessage(message: WireMessage): ChatMessage {
  const calls = message.tool_calls ?? []
  return {
    role: message.role,
    content: message.content ?? '',
    images: message.images ?? [],
    toolCalls: calls.map((call) => ({ name: call.function.name, arguments: call.function.arguments ?? {} })),
    toolName: message.tool_name ?? undefined,
  }
}

/** A result that only carries a call id gets the name of the call it answers. */
function nameToolResults(raw: readonly WireMessage[]): ChatMessage[] {
  const names = new Map<string, string>()
  return raw.map((message) => {
    for (const call of message.tool_calls ?? []) if (call.id) names.set(call.id, call.function.name)
    const converted = toMessage(message)
    return { ...converted, toolName: converted.toolName ?? names.get(message.tool_call_id ?? '') }
  })
}

export function toToolSpecs(tools: readonly WireTool[] | null | undefined): ToolSpec[] {
  return (tools ?? []).map(({ function: tool }) => ({
    name: tool.name,
    description: tool.description ?? '',
    parameters: tool.parameters ?? {},
  }))
}

function checkLogprobs(count: number | null | undefined): void {
  if ((count ?? 0) < 0 || (count ?? 0) > 20) throw httpFailure(400, 'top_logprobs must be between 0 and 20')
}

function topLogprobs(body: Pick<ChatRequest, 'logprobs' | 'top_logprobs'>): TopLogprobs {
  return body.logprobs ? (body.top_logprobs ?? 0) : undefined
}

/** `POST /api/chat`. */
export async function handleChat(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'ChatRequest', chatRequest)
  checkLogprobs(body.top_logprobs)
  const asked = body.model ?? ''
  if (asked === '') throw httpFailure(400, 'model is required')
  await answerChat(exchange, asked, body)
}

/** Chat from an already parsed request, with the native wire. */
async function answerChat(exchange: Exchange, asked: string, body: ChatRequest): Promise<void> {
  const { nowMs } = exchange.node
  const tools = toToolSpecs(body.tools)
  const messages = nameToolResults(body.messages ?? [])
  const needs: Capability[] = tools.length > 0 ? ['tools'] : []
  const inference = {
    asked,
    verb: 'chat' as const,
    messages,
    tools,
    needs,
    format: body.format,
    think: body.think,
    options: body.options,
    keepAlive: body.keep_alive,
    truncate: body.truncate ?? true,
    stream: body.stream ?? true,
    empty: messages.length === 0,
  }
  await runInference(exchange, inference, chatWire(asked, nowMs, topLogprobs(body)), (reason) =>
    sendJson(exchange.response, 200, {
      model: asked,
      created_at: goTime(nowMs()),
      message: { role: 'assistant', content: '' },
      done: true,
      done_reason: reason,
    }),
  )
}

/** `POST /api/generate`. */
export async function handleGenerate(exchange: Exchange): Promise<void> {
  const { nowMs } = exchange.node
  const body = await readJson(exchange, 'GenerateRequest', generateRequest)
  checkLogprobs(body.top_logprobs)
  const asked = body.model ?? ''
  const raw = body.raw ?? false
  if (raw && (body.template || body.system || (body.context ?? []).length > 0)) {
    throw httpFailure(400, 'raw mode does not support template, system, or context')
  }
  const plain = { images: [], toolCalls: [], toolName: undefined }
  const system = body.system ? [{ ...plain, role: 'system', content: body.system }] : []
  const user = { ...plain, role: 'user', content: body.prompt ?? '', images: body.images ?? [] }
  const inference = {
    asked,
    verb: 'generate' as const,
    messages: [...system, user],
    tools: [],
    needs: body.suffix ? (['insert'] satisfies Capability[]) : [],
    format: body.format,
    think: body.think,
    options: body.options,
    keepAlive: body.keep_alive,
    truncate: body.truncate ?? true,
    stream: body.stream ?? true,
    empty: user.content === '',
  }
  const wire = generateWire({ model: asked, prompt: raw ? undefined : user.content, top: topLogprobs(body) }, nowMs)
  await runInference(exchange, inference, wire, (reason) =>
    sendJson(exchange.response, 200, {
      model: asked,
      created_at: goTime(nowMs()),
      response: '',
      done: true,
      done_reason: reason,
    }),
  )
}
