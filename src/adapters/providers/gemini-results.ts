import type { ChatMessage } from '../../core/models.ts'
import { isThirdGeneration } from './gemini-models.ts'
import { type Findings, partsOf } from './gemini-parts.ts'
import { isObject, type JsonObject, parseJson, stringOf } from './json-shape.ts'
import { inexpressible } from './neutral.ts'

type ResultContext = { model: string; name: string | undefined; findings: Findings }

/**
 * A tool's result as a `functionResponse`, which must name its function and be an object. Images in it travel inside
 * from the third generation on, and beside it before.
 */
export function resultParts(
  message: ChatMessage,
  path: string,
  { model, name, findings }: ResultContext,
): JsonObject[] {
  if (!name)
    throw inexpressible('This is the result of a call that is not in the conversation.', `${path}.tool_call_id`)
  const parts = partsOf(message.content, `${path}.content`, findings)
  const texts = parts.flatMap(({ text }) => stringOf(text) ?? [])
  const media = parts.filter((part) => 'inlineData' in part)
  const inside = media.length > 0 && isThirdGeneration(model)
  const id = stringOf(message.tool_call_id)
  const functionResponse = {
    ...(id ? { id } : {}),
    name,
    response: responseOf(texts.join('\n'), message.is_error === true),
    ...(inside ? { parts: media } : {}),
  }
  return [{ functionResponse }, ...(inside ? [] : media)]
}

/** An object as it is, any other text under a name that Google's documentation uses for it. */
function responseOf(text: string, isError: boolean): JsonObject {
  const result = objectIn(text) ?? text
  if (isError) return { error: result }
  return typeof result === 'string' ? { result } : result
}

/** Long numbers do not survive being parsed, so a text that has one stays a text. */
function objectIn(text: string): JsonObject | undefined {
  if (!text.trimStart().startsWith('{') || /\d{16}/.test(text)) return undefined
  const parsed = parseJson(text)
  return isObject(parsed) ? parsed : undefined
}
