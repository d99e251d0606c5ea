import type { ChatBody, ChatCall } from '../../core/models.ts'
import { isObject, type JsonObject, objectsOf } from './json-shape.ts'
import { isNeutral, outputLimit } from './neutral.ts'
import { contextFor } from './ollama-context.ts'
import { ollamaMessages } from './ollama-messages.ts'
import type { WireRequest } from './openai-request.ts'

/** Long enough that a conversation's next turn finds the model loaded. */
const KEEP_ALIVE = '10m'

/** Fields that sit under the same name in `options`. The ones OpenAI does not know come from callers of local models. */
const sameNameOptions = [
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'seed',
  'frequency_penalty',
  'presence_penalty',
  'repeat_penalty',
]

/** Fields that are translated below, or that are the gateway's own; every other one is reported as ignored. */
const understood = new Set([
  ...sameNameOptions,
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'stop',
  'response_format',
  'reasoning_effort',
  'tools',
  'tool_choice',
  'logprobs',
  'top_logprobs',
  'helix',
  'force_provider',
])

/** OpenAI's seven efforts on Ollama's scale. */
const thinkOf: Readonly<Record<string, boolean | string>> = {
  none: false,
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'max',
  max: 'max',
}

/**
 * A chat body for `/api/chat`. Without `reasoning_effort` the `think` flag stays away: a node then lets a model think
 * that can, as OpenAI does, while sending `true` to one that cannot is refused.
 * Throws `UpstreamError('status', 400)` for what has no form in this wire (see `ollamaMessages`).
 */
export function ollamaChatRequest(call: ChatCall, contextWindow: number | undefined): WireRequest {
  const { body } = call
  const ignored = new Set<string>()
  for (const [field, value] of Object.entries(body)) {
    // By its name alone a provider is chosen by the gateway.
    const known = understood.has(field) || (field === 'provider' && typeof value === 'string')
    if (!known && !isNeutral(field, value)) ignored.add(field)
  }
  const messages = ollamaMessages(body.messages, ignored)
  const tools = toolsOf(body, ignored)
  const format = formatOf(body.response_format, ignored)
  const think = effortOf(body.reasoning_effort, ignored)
  const maxTokens = outputLimit(call)
  const context = contextFor({ messages, tools, maxTokens, contextWindow })
  return {
    body: {
      model: call.model,
      messages,
      stream: body.stream === true,
      keep_alive: KEEP_ALIVE,
      // An error is better than an answer to half of the prompt.
      truncate: false,
      shift: false,
      ...(tools.length > 0 ? { tools } : {}),
      ...(format === undefined ? {} : { format }),
      ...(think === undefined ? {} : { think }),
      ...(body.logprobs === true ? { logprobs: true, top_logprobs: body.top_logprobs ?? 0 } : {}),
      options: { ...optionsOf(body), ...(maxTokens === undefined ? {} : { num_predict: maxTokens }), num_ctx: context },
    },
    ignored: [...ignored],
  }
}

function optionsOf(body: ChatBody): JsonObject {
  const options: JsonObject = {}
  for (const field of sameNameOptions) {
    if (body[field] !== null && body[field] !== undefined) options[field] = body[field]
  }
  if (typeof body.stop === 'string') options.stop = [body.stop]
  else if (Array.isArray(body.stop)) options.stop = body.stop
  return options
}

/** Ollama always decides itself whether to call a tool, so of the choices only `none` can be honoured. */
function toolsOf(body: ChatBody, ignored: Set<string>): JsonObject[] {
  const choice = body.tool_choice ?? 'auto'
  if (choice === 'none') return []
  if (choice !== 'auto') ignored.add('tool_choice')
  return objectsOf(body.tools).flatMap((tool, position) => {
    if (!isObject(tool.function)) {
      ignored.add(`tools[${position}]`)
      return []
    }
    const { strict, ...definition } = tool.function
    if (strict === true) ignored.add('tools[].function.strict')
    return [{ type: 'function', function: definition }]
  })
}

function formatOf(format: unknown, ignored: Set<string>): unknown {
  if (!isObject(format) || format.type === 'text') return undefined
  if (format.type === 'json_object') return 'json'
  const schema = format.type === 'json_schema' && isObject(format.json_schema) ? format.json_schema.schema : undefined
  if (isObject(schema)) return schema
  ignored.add('response_format')
  return undefined
}

function effortOf(effort: unknown, ignored: Set<string>): boolean | string | undefined {
  if (effort === null || effort === undefined) return undefined
  const think = typeof effort === 'string' && Object.hasOwn(thinkOf, effort) ? thinkOf[effort] : undefined
  if (think === undefined) ignored.add('reasoning_effort')
  return think
}
