import { geminiChatRequest } from '../../../src/adapters/providers/gemini-request.ts'
import { type JsonObject, objectsOf } from '../../../src/adapters/providers/json-shape.ts'
import { type ChatMessage, UpstreamError } from '../../../src/core/models.ts'
import { callOf } from './support.ts'

export const third = 'gemini-3-flash-preview'

export function translate(messages: ChatMessage[], model = 'gemini-2.5-flash') {
  const { body, ignored, images } = geminiChatRequest(callOf({ messages }, { model }))
  return { contents: objectsOf(body.contents), system: body.systemInstruction, ignored, images }
}

export const partsIn = (contents: readonly JsonObject[]): JsonObject[] =>
  contents.flatMap(({ parts }) => objectsOf(parts))

export function refusalOf(messages: ChatMessage[]): UpstreamError {
  try {
    translate(messages)
  } catch (failure) {
    if (failure instanceof UpstreamError) return failure
  }
  throw new Error('was not refused')
}

export const signed = (value: string) => ({ extra_content: { google: { thought_signature: value } } })
export const call = (id: string, name: string, args = '{}', extra: JsonObject = {}) => ({
  id,
  type: 'function',
  function: { name, arguments: args },
  ...extra,
})
export const user = (content: unknown): ChatMessage => ({ role: 'user', content })
export const calls = (...tool_calls: JsonObject[]): ChatMessage => ({ role: 'assistant', content: null, tool_calls })
export const result = (id: string, content: unknown, extra: JsonObject = {}): ChatMessage => ({
  role: 'tool',
  tool_call_id: id,
  content,
  ...extra,
})
