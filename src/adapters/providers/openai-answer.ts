import { type ChatCompletion, type ListedModel, UpstreamError } from '../../core/models.ts'
import type { VendorQuirks } from '../../core/vendors.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsText, newCallId, newCompletionId, normaliseMessage } from './openai-message.ts'
import { normalUsage } from './usage.ts'

/** A vendor's whole answer in OpenAI's shape. Throws `UpstreamError('garbage')` when it is none. */
export function openAiCompletion(parsed: unknown, model: string, quirks: VendorQuirks): ChatCompletion {
  const choices = isObject(parsed) ? objectsOf(parsed.choices) : []
  if (!isObject(parsed) || choices.length === 0) throw new UpstreamError('garbage', 'The answer has no choices.')
  return {
    ...parsed,
    id: stringOf(parsed.id) || newCompletionId(),
    object: 'chat.completion',
    created: countOf(parsed.created) || Math.floor(Date.now() / 1000),
    model: stringOf(parsed.model) || model,
    choices: choices.map((choice, position) => wholeChoice(choice, position, quirks)),
    usage: normalUsage(parsed.usage) ?? null,
  }
}

function wholeChoice(choice: JsonObject, position: number, quirks: VendorQuirks): ChatCompletion['choices'][number] {
  if (!isObject(choice.message)) throw new UpstreamError('garbage', 'A choice of the answer has no message.')
  if (choice.finish_reason === 'error') {
    throw new UpstreamError('reported', 'The vendor ended its answer with an error.')
  }
  const message = { ...choice.message, role: stringOf(choice.message.role) || 'assistant' }
  normaliseMessage(message, quirks)
  return {
    ...choice,
    index: countOf(choice.index) ?? position,
    message: Array.isArray(choice.message.tool_calls)
      ? { ...message, tool_calls: objectsOf(choice.message.tool_calls).map(wholeToolCall) }
      : message,
    finish_reason: stringOf(choice.finish_reason) || null,
  }
}

function wholeToolCall(call: JsonObject): JsonObject {
  return {
    ...call,
    id: stringOf(call.id) || newCallId(),
    type: stringOf(call.type) || 'function',
    ...(isObject(call.function)
      ? { function: { ...call.function, arguments: argumentsText(call.function.arguments) } }
      : {}),
  }
}

/** Vectors in input order. Throws `UpstreamError('garbage')` unless there is exactly one for each input. */
export function openAiVectors(parsed: unknown, inputs: number): number[][] {
  const byIndex = new Map<number, number[]>()
  const rows = isObject(parsed) ? objectsOf(parsed.data) : []
  rows.forEach((row, position) => {
    const vector = vectorOf(row.embedding)
    if (vector !== undefined) byIndex.set(countOf(row.index) ?? position, vector)
  })
  const vectors = Array.from({ length: inputs }, (_, index) => byIndex.get(index)).filter(
    (vector) => vector !== undefined,
  )
  if (vectors.length !== inputs || byIndex.size !== inputs) {
    throw new UpstreamError('garbage', `The answer does not have one vector for each of ${inputs} inputs.`)
  }
  return vectors
}

function vectorOf(value: unknown): number[] | undefined {
  if (Array.isArray(value))
    return value.length > 0 && value.every((item) => typeof item === 'number') ? value : undefined
  return typeof value === 'string' ? fromBase64(value) : undefined
}

/** Little-endian 32-bit floats: a vendor may send them unasked. */
function fromBase64(text: string): number[] | undefined {
  let binary: string
  try {
    binary = atob(text)
  } catch {
    return undefined
  }
  if (binary.length === 0 || binary.length % 4 !== 0) return undefined
  const view = new DataView(Uint8Array.from(binary, (char) => char.charCodeAt(0)).buffer)
  return Array.from({ length: binary.length / 4 }, (_, position) => view.getFloat32(position * 4, true))
}

/** The models that a vendor lists, as `{data: […]}` or as a bare array (Together). */
export function openAiModels(parsed: unknown): ListedModel[] {
  const list = isObject(parsed) ? parsed.data : parsed
  if (!Array.isArray(list)) throw new UpstreamError('garbage', 'The answer has no list of models.')
  return objectsOf(list).flatMap((entry) => {
    const name = stringOf(entry.id)
    if (!name) return []
    return [{ name, contextWindow: windowOf(entry) }]
  })
}

/** OpenRouter and Together, Groq, Mistral: each has its own word. */
const windowOf = (entry: JsonObject): number | undefined =>
  countOf(entry.context_length) ?? countOf(entry.context_window) ?? countOf(entry.max_context_length)
