import type { ChatCall, ChatMessage, EmbedCall } from '../../core/models.ts'
import type { VendorQuirks } from '../../core/vendors.ts'
import type { JsonObject } from './json-shape.ts'
import { isNeutral } from './neutral.ts'
import { plainTools, withoutForeign } from './openai-foreign.ts'

/** Ours, wherever a caller may put them; no vendor must see them. */
const gatewayFields = ['helix', 'force_provider']

/** What OpenAI's wire does not know, and vendors refuse; some know a block of their own under one of these names. */
const foreignFields = ['provider', 'ensemble_config']

/** Tiers at which a vendor charges what it lists; the others cost more or less than we would book. */
const LISTED_TIERS: ReadonlySet<unknown> = new Set(['auto', 'default', null, undefined])

const maxTokensFields = ['max_completion_tokens', 'max_tokens'] as const

export type WireRequest = { body: JsonObject; ignored: string[] }

/** The caller's chat body as this vendor takes it; unknown fields travel untouched. */
export function openAiChatRequest(call: ChatCall, quirks: VendorQuirks): WireRequest {
  const request = vendorBody(call.body, call.model, quirks)
  const { body } = request
  boundOutput(body, call.maxOutputTokens, quirks)
  if (call.body.stream === true) askForUsage(body, quirks)
  const { knows = [] } = quirks
  body.messages = vendorMessages(withoutForeign(call.body.messages, knows), quirks, request.ignored)
  if (body.tools) body.tools = plainTools(body.tools, knows)
  return request
}

/** The caller's embeddings body as this vendor takes it. Vectors are always asked for as numbers. */
export function openAiEmbedRequest(call: EmbedCall, quirks: VendorQuirks): WireRequest {
  const request = vendorBody(call.body, call.model, quirks)
  delete request.body.encoding_format
  return request
}

function vendorBody(given: Readonly<JsonObject>, model: string, quirks: VendorQuirks): WireRequest {
  const body: JsonObject = { ...given, model }
  const ignored: string[] = []
  for (const field of gatewayFields) delete body[field]
  // By its name alone a provider is chosen by us.
  if (typeof body.provider === 'string') delete body.provider
  for (const field of unwantedFields(body, quirks)) {
    if (!(field in body)) continue
    if (!isNeutral(field, body[field])) ignored.push(field)
    delete body[field]
  }
  for (const [from, to] of Object.entries(quirks.rename ?? {})) {
    if (!(from in body)) continue
    body[to] ??= body[from]
    delete body[from]
  }
  return { body, ignored }
}

function unwantedFields(body: JsonObject, { omit = [], ownFields = [] }: VendorQuirks): string[] {
  const foreign = foreignFields.filter((field) => !ownFields.includes(field))
  const tier = LISTED_TIERS.has(body.service_tier) ? [] : ['service_tier']
  return [...foreign, ...tier, ...omit]
}

/** `max_completion_tokens` supersedes `max_tokens`; whichever the caller used, the vendor gets its own name. */
function boundOutput(body: JsonObject, bound: number | undefined, { maxTokensField }: VendorQuirks): void {
  const wish = maxTokensFields.map((field) => body[field]).find((value) => value !== null && value !== undefined)
  for (const field of maxTokensFields) delete body[field]
  if (typeof wish === 'number' && bound !== undefined) body[maxTokensField] = Math.min(wish, bound)
  else if (wish !== undefined || bound !== undefined) body[maxTokensField] = wish ?? bound
}

/** Exact counts need the usage chunk, whether or not the caller wants to see it. */
function askForUsage(body: JsonObject, quirks: VendorQuirks): void {
  if (!quirks.supportsStreamUsage) delete body.stream_options
  else body.stream_options = { ...(body.stream_options as JsonObject | null | undefined), include_usage: true }
}

function vendorMessages(
  messages: readonly ChatMessage[],
  quirks: VendorQuirks,
  ignored: string[],
): readonly ChatMessage[] {
  const { omitFromMessages = [], renameRoles = {} } = quirks
  const isForeign = (message: ChatMessage) =>
    Object.hasOwn(renameRoles, message.role) || omitFromMessages.some((field) => field in message)
  if (!messages.some(isForeign)) return messages
  const dropped = new Set<string>()
  const translated = messages.map((message) => {
    if (!isForeign(message)) return message
    const copy: ChatMessage = { ...message, role: renameRoles[message.role] ?? message.role }
    for (const field of omitFromMessages) {
      if (!isNeutral(field, copy[field])) dropped.add(`messages[].${field}`)
      delete copy[field]
    }
    return copy
  })
  ignored.push(...dropped)
  return translated
}
