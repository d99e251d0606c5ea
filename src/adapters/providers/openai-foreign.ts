import type { ChatMessage } from '../../core/models.ts'
import { isObject, type JsonObject } from './json-shape.ts'

/**
 * What messages carry for other wires than OpenAI's. To leave it out changes nothing of what is asked, so nobody is
 * told; to leave it in makes some vendors refuse the request.
 */
const carried = ['thinking_blocks', 'cache_control', 'is_error', 'extra_content'] as const

/** Said in place of a tool's result that is nothing but pictures or files. */
const ELSEWHERE = 'The result is in the message after this one.'

/**
 * A conversation without what belongs to other wires, but for what this vendor knows. In OpenAI's wire a tool's result
 * is text: pictures and files in one follow in a message of the user, behind the last result. Gives back the same list
 * when nothing had to change.
 */
export function withoutForeign(messages: readonly ChatMessage[], known: readonly string[]): readonly ChatMessage[] {
  const fields = carried.filter((field) => !known.includes(field))
  let changed = false
  const plain: ChatMessage[] = []
  let media: unknown[] = []
  for (const message of messages) {
    if (media.length > 0 && message.role !== 'tool') {
      plain.push({ role: 'user', content: media })
      media = []
    }
    const cleaned = cleanMessage(message, fields)
    const { text, rest } = cleaned.role === 'tool' ? partedResult(cleaned) : { text: cleaned, rest: [] }
    media.push(...rest)
    plain.push(text)
    changed ||= text !== message
  }
  if (media.length > 0) plain.push({ role: 'user', content: media })
  return changed ? plain : messages
}

/** The same value where it has none of the fields. */
function without<Value>(value: Value, fields: readonly string[]): Value {
  if (!isObject(value) || !fields.some((field) => field in value)) return value
  const copy: Value & JsonObject = { ...value }
  for (const field of fields) delete copy[field]
  return copy
}

function cleanList(list: unknown, fields: readonly string[]): unknown {
  if (!Array.isArray(list)) return list
  const cleaned = list.map((item: unknown) => without(item, fields))
  return cleaned.some((item, position) => item !== list[position]) ? cleaned : list
}

function cleanMessage(message: ChatMessage, fields: readonly string[]): ChatMessage {
  const cleaned = without(message, fields)
  const content = cleanList(cleaned.content, fields)
  const calls = cleanList(cleaned.tool_calls, fields)
  if (content === cleaned.content && calls === cleaned.tool_calls) return cleaned
  return { ...cleaned, ...(content !== undefined && { content }), ...(calls !== undefined && { tool_calls: calls }) }
}

function partedResult(message: ChatMessage): { text: ChatMessage; rest: readonly unknown[] } {
  const { content } = message
  const isText = (part: unknown) => !isObject(part) || part.type === 'text'
  if (!Array.isArray(content) || content.every(isText)) return { text: message, rest: [] }
  const texts = content.filter(isText)
  const text = { ...message, content: texts.length > 0 ? texts : ELSEWHERE }
  return { text, rest: content.filter((part) => !isText(part)) }
}

/** Tools without their marks of a cache, unless the vendor knows these. */
export function plainTools(tools: unknown, known: readonly string[]): unknown {
  return known.includes('cache_control') ? tools : cleanList(tools, ['cache_control'])
}
