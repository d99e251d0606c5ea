import type { ChatBody, ChatCall } from '../../core/models.ts'
import { geminiConversation } from './gemini-messages.ts'
import { thinkingFor } from './gemini-models.ts'
import type { Findings, RemoteImage } from './gemini-parts.ts'
import { toolsOf } from './gemini-tools.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { isNeutral, outputLimit } from './neutral.ts'

/** ai.google.dev/api/generate-content: more than these are refused. */
const MAX_STOPS = 5

/** Fields of `generationConfig` that have but another spelling. */
const sampling = {
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  n: 'candidateCount',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
} as const

/** Fields that are translated below, or that are the gateway's own; every other one is reported as ignored. */
const understood = new Set([
  ...Object.keys(sampling),
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'stop',
  'response_format',
  'reasoning_effort',
  'modalities',
  'tools',
  'tool_choice',
  'logprobs',
  'top_logprobs',
  'safety_settings',
  'extra_body',
  'helix',
  'force_provider',
])

/** The tiers that cost what is listed. */
const isListedTier = (value: unknown) => value === 'auto' || value === 'default'

export type GeminiRequest = {
  body: JsonObject
  ignored: string[]
  /** To be fetched into the body before it is sent. */
  images: readonly RemoteImage[]
}

/**
 * A chat body for `:generateContent`. What Google's own translation knows beside OpenAI's fields is taken from
 * `extra_body.google` (`safety_settings`, `thinking_config`) as there, and from `safety_settings`.
 * Throws `UpstreamError('status', 400)` for what has no form in this wire (see `geminiConversation`).
 */
export function geminiChatRequest(call: ChatCall): GeminiRequest {
  const { body, model } = call
  const findings: Findings = { ignored: new Set(), images: [] }
  const { ignored } = findings
  for (const [field, value] of Object.entries(body)) {
    // By its name alone a provider is chosen by the gateway.
    const known = understood.has(field) || (field === 'provider' && typeof value === 'string')
    const isListed = field === 'service_tier' && isListedTier(value)
    if (!known && !isListed && !isNeutral(field, value)) ignored.add(field)
  }
  const google = googleBlock(body, ignored)
  const { contents, systemInstruction } = geminiConversation(body.messages, model, findings)
  const generationConfig = generationConfigOf(call, google, ignored)
  const safetySettings = safetyOf(google.safety_settings ?? body.safety_settings, ignored)
  return {
    body: {
      ...(systemInstruction === undefined ? {} : { systemInstruction }),
      ...toolsOf(body, model, ignored),
      contents,
      ...(safetySettings === undefined ? {} : { safetySettings }),
      ...(Object.keys(generationConfig).length > 0 ? { generationConfig } : {}),
    },
    ignored: [...ignored],
    images: findings.images,
  }
}

/** Everything else in there could reach, or pay for, something that was neither asked of us nor allowed. */
function googleBlock({ extra_body: extra }: ChatBody, ignored: Set<string>): JsonObject {
  if (!isObject(extra)) {
    if (!isNeutral('extra_body', extra)) ignored.add('extra_body')
    return {}
  }
  for (const field of Object.keys(extra)) if (field !== 'google') ignored.add(`extra_body.${field}`)
  const google = isObject(extra.google) ? extra.google : {}
  for (const [field, value] of Object.entries(google)) {
    const known = field === 'safety_settings' || field === 'thinking_config'
    if (!known && !isNeutral(field, value)) ignored.add(`extra_body.google.${field}`)
  }
  return google
}

function safetyOf(settings: unknown, ignored: Set<string>): JsonObject[] | undefined {
  if (settings === undefined || settings === null) return undefined
  if (Array.isArray(settings)) return objectsOf(settings).map(({ category, threshold }) => ({ category, threshold }))
  ignored.add('safety_settings')
  return undefined
}

function generationConfigOf(call: ChatCall, google: JsonObject, ignored: Set<string>): JsonObject {
  const { body, model } = call
  const config: JsonObject = {}
  for (const [field, name] of Object.entries(sampling)) {
    const value = body[field]
    if (value !== null && value !== undefined && !(field === 'n' && value === 1)) config[name] = value
  }
  const maxOutputTokens = outputLimit(call)
  if (maxOutputTokens !== undefined) config.maxOutputTokens = maxOutputTokens
  const stops = stopsOf(body.stop)
  if (stops.length > 0) config.stopSequences = stops.slice(0, MAX_STOPS)
  if (stops.length > MAX_STOPS) ignored.add('stop')
  if (body.logprobs === true) Object.assign(config, { responseLogprobs: true, logprobs: body.top_logprobs ?? 0 })
  Object.assign(config, formatOf(body.response_format, ignored), modalitiesOf(body.modalities, ignored))
  const thinkingConfig = thinkingOf(model, body.reasoning_effort, { google, ignored })
  if (thinkingConfig !== undefined) config.thinkingConfig = thinkingConfig
  return config
}

function stopsOf(stop: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop]
  return list.filter((item) => typeof item === 'string' && item !== '').map(String)
}

function formatOf(format: unknown, ignored: Set<string>): JsonObject {
  if (!isObject(format) || format.type === 'text') return {}
  if (format.type === 'json_object') return { responseMimeType: 'application/json' }
  const schema = format.type === 'json_schema' && isObject(format.json_schema) ? format.json_schema.schema : undefined
  if (isObject(schema)) return { responseMimeType: 'application/json', responseJsonSchema: schema }
  ignored.add('response_format')
  return {}
}

/** Text alone is what a model answers with anyway; of the others only images can come back in this shape. */
function modalitiesOf(modalities: unknown, ignored: Set<string>): JsonObject {
  if (!Array.isArray(modalities)) return {}
  if (modalities.some((modality) => modality !== 'text' && modality !== 'image')) ignored.add('modalities')
  return modalities.includes('image')
    ? { responseModalities: modalities.includes('text') ? ['TEXT', 'IMAGE'] : ['IMAGE'] }
    : {}
}

const efforts: ReadonlySet<unknown> = new Set(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'])

const thinkingFields: Readonly<Record<string, string>> = {
  thinking_level: 'thinkingLevel',
  thinking_budget: 'thinkingBudget',
  include_thoughts: 'includeThoughts',
}

type ThinkingContext = { google: JsonObject; ignored: Set<string> }

/** A level and a budget together are refused, so Google's own block, which may name either, replaces the effort. */
function thinkingOf(model: string, effort: unknown, { google, ignored }: ThinkingContext): JsonObject | undefined {
  const own = ownThinking(google.thinking_config, ignored)
  const namesAmount = own !== undefined && ('thinkingLevel' in own || 'thinkingBudget' in own)
  if (namesAmount || effort === null || effort === undefined) return own
  const asked = stringOf(effort)
  if (asked === undefined || !efforts.has(asked)) {
    ignored.add('reasoning_effort')
    return own
  }
  const { config, isExact } = thinkingFor(model, asked)
  if (!isExact) ignored.add('reasoning_effort')
  return config === undefined ? own : { ...config, ...own }
}

function ownThinking(given: unknown, ignored: Set<string>): JsonObject | undefined {
  if (!isObject(given)) return undefined
  const entries = Object.entries(given).flatMap(([field, value]) => {
    const name = Object.hasOwn(thinkingFields, field) ? thinkingFields[field] : undefined
    if (name === undefined) ignored.add(`extra_body.google.thinking_config.${field}`)
    return name === undefined ? [] : [[name, value]]
  })
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}
