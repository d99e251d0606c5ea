import * as z from 'zod'
import { httpFailure } from './failures.ts'
import { decodeBase64 } from './media.ts'
import { textField, toolField } from './requests.ts'
import { type ChatMessage, isJsonObject, type JsonObject } from './types.ts'

const streamOptions = z.object({ include_usage: z.boolean().nullish() }).nullish()

const sampling = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: streamOptions,
  max_tokens: z.number().int().nullish(),
  seed: z.number().int().nullish(),
  stop: z.unknown().optional(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  presence_penalty: z.number().nullish(),
}

const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: textField, arguments: z.string().nullish() }),
})

const message = z.object({
  role: textField,
  content: z.unknown().optional(),
  name: z.string().nullish(),
  reasoning: z.string().nullish(),
  tool_calls: z.array(toolCall).nullish(),
  tool_call_id: z.string().nullish(),
})

/** `tool_choice`, `n`, `max_completion_tokens` and `parallel_tool_calls` are ignored, as the real server does. */
export const chatCompletionRequest = z.object({
  ...sampling,
  messages: z.array(message).nullish(),
  tools: z.array(toolField).nullish(),
  response_format: z
    .object({ type: z.string().nullish(), json_schema: z.object({ schema: z.unknown().optional() }).nullish() })
    .nullish(),
  reasoning_effort: z.string().nullish(),
  reasoning: z.object({ effort: z.string().nullish() }).nullish(),
})

export const completionRequest = z.object({
  ...sampling,
  prompt: z.string().nullish(),
  suffix: z.string().nullish(),
})

export const embeddingRequest = z.object({
  model: z.string().nullish(),
  input: z.unknown().optional(),
  dimensions: z.number().int().nullish(),
  encoding_format: z.string().nullish(),
})

type OpenaiMessage = z.output<typeof message>

const imagePrefix = /^data:(?:image\/(?:jpeg|jpg|png|webp))?;base64,/

function decodeAttachment(base64: string): Buffer {
  const bytes = decodeBase64(base64)
  if ('illegalAt' in bytes) throw httpFailure(400, 'invalid message format')
  return bytes
}

function partMessage(role: string, part: unknown): ChatMessage {
  const empty = { role, content: '', images: [], toolCalls: [], toolName: undefined }
  if (!isJsonObject(part)) throw httpFailure(400, 'invalid message format')
  if (part.type === 'text' && typeof part.text === 'string') return { ...empty, content: part.text }
  if (part.type === 'image_url') {
    const url = isJsonObject(part.image_url) ? part.image_url.url : part.image_url
    if (typeof url !== 'string') throw httpFailure(400, 'invalid message format')
    if (!imagePrefix.test(url)) throw httpFailure(400, 'invalid image input')
    return { ...empty, images: [decodeAttachment(url.replace(imagePrefix, ''))] }
  }
  if (part.type === 'input_audio' && isJsonObject(part.input_audio) && typeof part.input_audio.data === 'string') {
    return { ...empty, images: [decodeAttachment(part.input_audio.data)] }
  }
  throw httpFailure(400, 'invalid message format')
}

function parseCalls(source: OpenaiMessage): { name: string; arguments: JsonObject }[] {
  return (source.tool_calls ?? []).map((call) => {
    let parsed: unknown
    try {
      parsed = JSON.parse(call.function.arguments ?? '')
    } catch {
      throw httpFailure(400, 'invalid tool call arguments')
    }
    if (!isJsonObject(parsed)) throw httpFailure(400, 'invalid tool call arguments')
    return { name: call.function.name, arguments: parsed }
  })
}

/** Multi-part content becomes one native message per part, as the real translation does. */
export function toNativeMessages(source: readonly OpenaiMessage[]): ChatMessage[] {
  const names = new Map<string, string>()
  return source.flatMap((entry): ChatMessage[] => {
    for (const call of entry.tool_calls ?? []) if (call.id) names.set(call.id, call.function.name)
    const toolName = entry.role === 'tool' ? (entry.name ?? names.get(entry.tool_call_id ?? '')) : undefined
    const toolCalls = parseCalls(entry)
    const { role, content } = entry
    if (typeof content === 'string') return [{ role, content, images: [], toolCalls, toolName }]
    if (Array.isArray(content)) {
      const parts = content.map((part) => ({ ...partMessage(role, part), toolName }))
      return parts.map((part, index) => (index === parts.length - 1 ? { ...part, toolCalls } : part))
    }
    if (!entry.tool_calls)
      throw httpFailure(400, `invalid message content type: ${content === null ? '<nil>' : typeof content}`)
    return [{ role, content: '', images: [], toolCalls, toolName }]
  })
}

type Sampling = {
  stop?: unknown
  max_tokens?: number | null | undefined
  seed?: number | null | undefined
  temperature?: number | null | undefined
  top_p?: number | null | undefined
}

/** The native `options` of a compatible request; temperature and top_p are 1 when absent. */
export function toNativeOptions(body: Sampling): JsonObject {
  const stop = [body.stop].flat().filter((entry) => typeof entry === 'string')
  return {
    ...(stop.length > 0 ? { stop } : {}),
    ...(typeof body.max_tokens === 'number' ? { num_predict: body.max_tokens } : {}),
    ...(typeof body.seed === 'number' ? { seed: body.seed } : {}),
    temperature: body.temperature ?? 1,
    top_p: body.top_p ?? 1,
  }
}

const efforts: Readonly<Record<string, string | false>> = {
  none: false,
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'max',
  ultra: 'max',
  max: 'max',
}

/** `think` for a reasoning effort; 400 for an unknown one. */
export function toThink(effort: string | null | undefined): string | false | undefined {
  if (effort === null || effort === undefined || effort === '') return undefined
  const think = Object.hasOwn(efforts, effort) ? efforts[effort] : undefined
  if (think !== undefined) return think
  throw httpFailure(400, `invalid reasoning value: '${effort}' (must be "high", "medium", "low", "max", or "none")`)
}
