import type { ChatMessage } from '../../core/models.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsObject, inexpressible } from './neutral.ts'

/**
 * A conversation for `/api/chat`: text parts joined by line breaks, images as raw base64, arguments as objects, tool
 * results with the name of their tool. Fields with no place there are added to `ignored`.
 * Throws `UpstreamError('status', 400)` for an image by URL and for arguments that are not a JSON object.
 */
export function ollamaMessages(messages: readonly ChatMessage[], ignored: Set<string>): JsonObject[] {
  const toolNames = new Map<string, string>()
  return messages.map((message, position) => {
    const path = `messages[${position}]`
    const { text, media } = contentOf(message.content, path, ignored)
    const translated: JsonObject = { role: roleOf(message.role), content: text }
    if (media.length > 0) translated.images = media
    const thinking = stringOf(message.reasoning_content) ?? stringOf(message.reasoning)
    if (thinking) translated.thinking = thinking
    const calls = callsOf(message, path, { toolNames, ignored })
    if (calls.length > 0) translated.tool_calls = calls
    if (translated.role === 'tool') Object.assign(translated, resultOf(message, toolNames))
    else if (message.name !== undefined) ignored.add('messages[].name')
    return translated
  })
}

/** Ollama has no developer role, and the old `function` role is a tool's result by another name. */
function roleOf(role: string): string {
  if (role === 'developer') return 'system'
  return role === 'function' ? 'tool' : role
}

type Content = { text: string; media: string[] }

function contentOf(content: unknown, path: string, ignored: Set<string>): Content {
  if (!Array.isArray(content)) return { text: stringOf(content) ?? '', media: [] }
  const texts: string[] = []
  const media: string[] = []
  for (const [position, part] of content.entries()) {
    const here = `${path}.content[${position}]`
    const text = textOf(part)
    const item = text === undefined ? mediaOf(part, here) : undefined
    if (text !== undefined) texts.push(text)
    else if (item !== undefined) media.push(item)
    else ignored.add(here)
  }
  return { text: texts.join('\n'), media }
}

function textOf(part: unknown): string | undefined {
  if (typeof part === 'string') return part
  return isObject(part) ? (stringOf(part.text) ?? stringOf(part.refusal)) : undefined
}

/** Base64 of an image, or of WAV or MP3 audio: the node tells them apart by their bytes. */
function mediaOf(part: unknown, path: string): string | undefined {
  if (!isObject(part)) return undefined
  if (part.type === 'image_url') return imageOf(part.image_url, `${path}.image_url`)
  if (part.type !== 'input_audio' || !isObject(part.input_audio)) return undefined
  return /^(wav|mp3)$/.test(String(part.input_audio.format)) ? stringOf(part.input_audio.data) : undefined
}

function imageOf(image: unknown, path: string): string {
  const url = stringOf(isObject(image) ? image.url : image) ?? ''
  const comma = url.indexOf(',')
  if (/^data:/i.test(url) && /;base64$/i.test(url.slice(0, Math.max(0, comma)))) return url.slice(comma + 1)
  throw inexpressible('This model takes images as base64 data URLs only.', `${path}.url`)
}

type CallContext = { toolNames: Map<string, string>; ignored: Set<string> }

function callsOf(message: ChatMessage, path: string, { toolNames, ignored }: CallContext): JsonObject[] {
  return objectsOf(message.tool_calls).flatMap((call, position) => {
    const here = `${path}.tool_calls[${position}]`
    if (!isObject(call.function)) {
      ignored.add(here)
      return []
    }
    const name = stringOf(call.function.name) ?? ''
    const id = stringOf(call.id)
    if (id !== undefined) toolNames.set(id, name)
    const given = argumentsObject(call.function.arguments, `${here}.function.arguments`)
    return [{ ...(id === undefined ? {} : { id }), function: { index: position, name, arguments: given } }]
  })
}

function resultOf(message: ChatMessage, toolNames: ReadonlyMap<string, string>): JsonObject {
  const id = message.tool_call_id
  const name = (id === undefined ? undefined : toolNames.get(id)) ?? message.name
  return { ...(name === undefined ? {} : { tool_name: name }), ...(id === undefined ? {} : { tool_call_id: id }) }
}
