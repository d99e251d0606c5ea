import { type ChatCompletion, UpstreamError } from '../../core/models.ts'
import type { Expected } from './anthropic-request.ts'
import { usageOf } from './anthropic-usage.ts'
import { isObject, type JsonObject, objectsOf, parseJson, stringOf } from './json-shape.ts'
import { argumentsText, newCallId, newCompletionId } from './openai-message.ts'

/** OpenAI has no word for a pause in the vendor's own loop of tools: that is an end, with the vendor's word beside it. */
const finishReasons: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
}

/** The end of a choice: `finish_reason`, the vendor's word for it, and on a refusal its category. */
export function finishOf({ stop_reason: reason, stop_details: details }: JsonObject): {
  finish_reason: string
  native_finish_reason?: string
  stop_details?: JsonObject
} {
  const native = stringOf(reason)
  if (!native) return { finish_reason: 'stop' }
  return {
    finish_reason: (Object.hasOwn(finishReasons, native) ? finishReasons[native] : undefined) ?? 'stop',
    native_finish_reason: native,
    ...(isObject(details) ? { stop_details: details } : {}),
  }
}

/** What the vendor says about why it refused; undefined where it says nothing. */
export const refusalIn = ({ stop_details: details }: JsonObject): string | undefined =>
  isObject(details) ? stringOf(details.explanation) || undefined : undefined

export type ToolCall = JsonObject & { id: string; type: 'function' | 'custom' }

/** A tool call in OpenAI's shape; `text` is the JSON of its input. */
export function toolCallOf(block: JsonObject, text: string, { customTools, toolIds }: Expected): ToolCall {
  const name = stringOf(block.name) ?? ''
  const sentId = stringOf(block.id)
  const id = sentId ? toolIds.given(sentId) : newCallId()
  if (!customTools.has(name)) return { id, type: 'function', function: { name, arguments: text } }
  return { id, type: 'custom', custom: { name, input: customInput(text) } }
}

/** The free text out of the object around it. */
function customInput(text: string): string {
  const input = parseJson(text)
  return (isObject(input) ? stringOf(input.input) : undefined) ?? text
}

/** A finished block of thoughts as it must come back one day; undefined when nothing proves it. */
export function signedThought({ type, thinking, signature, data }: JsonObject): JsonObject | undefined {
  if (type === 'redacted_thinking' && typeof data === 'string') return { type, data }
  const isSigned = type === 'thinking' && typeof signature === 'string' && signature !== ''
  return isSigned ? { type, thinking: stringOf(thinking) ?? '', signature } : undefined
}

/** Sources with an address as annotations of the text from `start` to `end`; OpenAI has no form for the others. */
export function annotationsOf(citations: unknown, { start, end }: { start: number; end: number }): JsonObject[] {
  return objectsOf(citations).flatMap((citation) => {
    const url = stringOf(citation.url) ?? stringOf(citation.source)
    if (url === undefined || !URL.canParse(url)) return []
    const title = stringOf(citation.title) ?? url
    return [{ type: 'url_citation', url_citation: { url, title, start_index: start, end_index: end } }]
  })
}

type Message = {
  text: string
  reasoning: string
  thoughts: JsonObject[]
  calls: ToolCall[]
  annotations: JsonObject[]
}

/** Blocks of the vendor's own tools, and those of times to come, have no place in OpenAI's message. */
function messageOf(content: readonly JsonObject[], expected: Expected): Message {
  const message: Message = { text: '', reasoning: '', thoughts: [], calls: [], annotations: [] }
  for (const block of content) {
    const thought = signedThought(block)
    if (thought !== undefined) message.thoughts.push(thought)
    if (block.type === 'thinking') message.reasoning += stringOf(block.thinking) ?? ''
    else if (block.type === 'tool_use') message.calls.push(toolCallOf(block, inputText(block), expected))
    else if (block.type === 'text') {
      const start = message.text.length
      message.text += stringOf(block.text) ?? ''
      message.annotations.push(...annotationsOf(block.citations, { start, end: message.text.length }))
    }
  }
  return message
}

/** The JSON of a tool's input; without arguments an empty object. */
export const inputText = ({ input }: JsonObject): string => argumentsText(input) || '{}'

/** A vendor's whole answer in OpenAI's shape. Throws `UpstreamError('garbage')` when it is none. */
export function anthropicCompletion(parsed: unknown, model: string, expected: Expected): ChatCompletion {
  if (!isObject(parsed) || !Array.isArray(parsed.content)) {
    throw new UpstreamError('garbage', 'The answer has no content.')
  }
  const { text, reasoning, thoughts, calls, annotations } = messageOf(objectsOf(parsed.content), expected)
  const refusal = refusalIn(parsed)
  return {
    id: stringOf(parsed.id) || newCompletionId(),
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: stringOf(parsed.model) || model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' && calls.length > 0 ? null : text,
          ...(refusal === undefined ? {} : { refusal }),
          ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
          ...(thoughts.length === 0 ? {} : { thinking_blocks: thoughts }),
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
          ...(annotations.length === 0 ? {} : { annotations }),
        },
        logprobs: null,
        ...finishOf(parsed),
      },
    ],
    usage: usageOf(parsed.usage) ?? null,
  }
}
