import type { ChatBody, ChatCall } from '../../core/models.ts'
import { type Conversation, conversationOf } from './anthropic-messages.ts'
import { type ClaudeTraits, claudeTraits } from './anthropic-models.ts'
import { samplingOf } from './anthropic-sampling.ts'
import { thinkingOf } from './anthropic-thinking.ts'
import { createToolIds, type ToolIds } from './anthropic-tool-ids.ts'
import { toolsOf } from './anthropic-tools.ts'
import { isObject, type JsonObject, stringOf } from './json-shape.ts'
import { isNeutral, outputLimit } from './neutral.ts'

/** The vendor wants a limit with every request; this is one that its oldest model takes. */
export const FALLBACK_MAX_TOKENS = 4096
const USER_ID_MAX_CHARS = 256

/** Fields that are translated, or that are the gateway's own; every other one is reported as ignored. */
const understood: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'reasoning_effort',
  'thinking',
  'user',
  'service_tier',
  'helix',
  'force_provider',
])

/** OpenAI's words for what the vendor charges as listed, and the vendor's own. */
const tiers: Readonly<Record<string, string>> = {
  auto: 'auto',
  default: 'standard_only',
  standard_only: 'standard_only',
}

/** What the decoder of the answer has to know of its request. */
export type Expected = { customTools: ReadonlySet<string>; toolIds: Pick<ToolIds, 'given'> }

export type MessagesRequest = { body: JsonObject; ignored: string[]; expected: Expected }

/** How many output tokens a model can write; undefined where that is not known. */
export type MaxOutputOf = (model: string) => number | undefined

/**
 * A chat body for `/v1/messages`. What the wire or the model cannot express is in `ignored`.
 * Throws `inexpressible` for what has no form in it, with the name of the field.
 */
export function messagesRequest(call: ChatCall, maxOutputOf: MaxOutputOf): MessagesRequest {
  const { body, model } = call
  const ignored = new Set(unknownFields(body))
  const traits = claudeTraits(model)
  const toolIds = createToolIds()
  const conversation = conversationOf(body.messages, { toolIds, ignored })
  const { tools, choice, forced, custom } = toolsOf(body, { traits, ignored, called: conversation.called })
  const maxTokens = outputLimit(call) ?? maxOutputOf(model) ?? FALLBACK_MAX_TOKENS
  const { turns } = conversation
  const { thinking, effort, thinks } = thinkingOf({ body, traits, maxTokens, forced, turns }, ignored)
  const format = formatOf(body.response_format, traits, ignored)
  return {
    body: {
      model,
      max_tokens: maxTokens,
      ...(tools.length > 0 ? { tools, tool_choice: choice } : {}),
      ...systemOf(conversation),
      messages: turns,
      stream: body.stream === true,
      ...samplingOf(body, { traits, thinks }, ignored),
      ...stopOf(body.stop, ignored),
      ...(thinking === undefined ? {} : { thinking }),
      ...(effort === undefined && format === undefined ? {} : { output_config: { effort, format } }),
      ...userOf(body.user, ignored),
      ...tierOf(body.service_tier, ignored),
    },
    ignored: [...ignored],
    expected: { customTools: custom, toolIds },
  }
}

/** By its name alone a provider is chosen by the gateway. */
const unknownFields = (body: ChatBody): string[] =>
  Object.entries(body).flatMap(([field, value]) => {
    const known = understood.has(field) || (field === 'provider' && typeof value === 'string')
    return known || isNeutral(field, value) ? [] : [field]
  })

/** One text as a string; several, and those with a mark for the cache, as blocks. */
function systemOf({ system }: Conversation): JsonObject {
  const [first, ...others] = system
  if (first === undefined) return {}
  const isPlain = others.length === 0 && first.type === 'text' && first.cache_control === undefined
  return { system: isPlain ? first.text : system }
}

/** The vendor refuses stop sequences of nothing but space. */
function stopOf(stop: unknown, ignored: Set<string>): JsonObject {
  const given = (Array.isArray(stop) ? stop : [stop]).filter((text) => typeof text === 'string')
  const sent = given.filter((text) => text.trim() !== '')
  if (sent.length < given.length) ignored.add('stop')
  return sent.length === 0 ? {} : { stop_sequences: sent }
}

function formatOf(format: unknown, { schemas }: ClaudeTraits, ignored: Set<string>): JsonObject | undefined {
  if (!isObject(format) || format.type === 'text') return undefined
  const schema = format.type === 'json_schema' && isObject(format.json_schema) ? format.json_schema.schema : undefined
  if (schemas && isObject(schema)) return { type: 'json_schema', schema }
  ignored.add('response_format')
  return undefined
}

function userOf(user: unknown, ignored: Set<string>): JsonObject {
  const id = stringOf(user)
  if (!id) return {}
  if (id.length <= USER_ID_MAX_CHARS) return { metadata: { user_id: id } }
  ignored.add('user')
  return {}
}

function tierOf(tier: unknown, ignored: Set<string>): JsonObject {
  if (tier === null || tier === undefined) return {}
  const sent = typeof tier === 'string' && Object.hasOwn(tiers, tier) ? tiers[tier] : undefined
  if (sent !== undefined) return { service_tier: sent }
  ignored.add('service_tier')
  return {}
}
