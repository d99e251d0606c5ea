import type { ChatBody, ChatMessage } from '../../core/models.ts'
import type { TaskType } from '../../core/tasks.ts'
import { roughTokens } from '../../core/tokens.ts'

/** What is seen of a request without understanding it. */
export type Features = {
  inputTokens: number
  messages: number
  tools: boolean
  jsonSchema: boolean
  /** A fenced block or a diff. */
  code: boolean
  images: boolean
  audio: boolean
  /** Distinct words that ask for reasoning, of those that were looked at. */
  reasoningWords: number
  /** `reasoning_effort` is high, or above. */
  hardThinking: boolean
}

/** Words and code are looked for in the newest text of the request, up to this many characters. */
const MOST_SCANNED_CHARACTERS = 32_768
/** Attachments count by the piece: their base64 is no text. */
const TOKENS_PER_MEDIUM = 765
const HARD_EFFORTS: ReadonlySet<unknown> = new Set(['high', 'xhigh', 'max'])
const AUDIO = new Set(['input_audio'])
const IMAGES = new Set(['image_url'])
const OTHER_MEDIA = new Set(['file', 'video_url'])

/** Each alternative is one word, in the forms that ask for it. */
const reasoning = [
  /\bprov(?:e|es|ing)\b/i,
  /\bderiv(?:e|es|ing)\b/i,
  /\bcompar(?:e|es|ing)\b/i,
  /\bdesign(?:s|ing)?\b/i,
  /\brefactor(?:s|ing)?\b/i,
  /\bplan(?:s|ning)?\b/i,
  /\bstep[ -]by[ -]step\b/i,
]
const DIFF = /^(?:diff --git |@@ -\d|\+\+\+ |--- a\/)/m
const FENCE = '```'

/** `effort` is what another wire than OpenAI's calls `reasoning_effort`. */
export function featuresOf(body: Partial<ChatBody>, effort?: string): Features {
  const { messages = [], tools, response_format: format, reasoning_effort: ownEffort } = body
  const seen = { characters: 0, media: 0, images: false, audio: false }
  for (const message of messages) look(message, seen)
  const hasTools = Array.isArray(tools) && tools.length > 0
  const toolTokens = hasTools ? roughTokens(JSON.stringify(tools).length) : 0
  const words = newestText(messages, isInstruction)
  return {
    inputTokens: roughTokens(seen.characters) + seen.media * TOKENS_PER_MEDIUM + toolTokens,
    messages: messages.length,
    tools: hasTools,
    jsonSchema: typeof format === 'object' && format !== null && 'type' in format && format.type === 'json_schema',
    code: isCode(newestText(messages, () => true)),
    images: seen.images,
    audio: seen.audio,
    reasoningWords: reasoning.filter((word) => word.test(words)).length,
    hardThinking: HARD_EFFORTS.has(effort ?? ownEffort),
  }
}

/** What a call is for where its caller does not say. */
export function taskOf(messages: readonly ChatMessage[]): TaskType {
  for (const { content } of messages) {
    if (Array.isArray(content) && content.some((part: { type?: unknown } | null) => isOf(IMAGES, part))) {
      return 'image_analysis'
    }
  }
  return hasFence(messages) ? 'code_generation' : 'text_generation'
}

/** As far back as words are looked for; every call is asked that, so nothing is put together for it. */
function hasFence(messages: readonly ChatMessage[]): boolean {
  let left = MOST_SCANNED_CHARACTERS
  for (let at = messages.length - 1; at >= 0 && left > 0; at -= 1) {
    const content = messages[at]?.content
    const texts = typeof content === 'string' ? [content] : Array.isArray(content) ? content.map(textOf) : []
    for (const text of texts) {
      if (text.includes(FENCE)) return true
      left -= text.length
    }
  }
  return false
}

const isCode = (text: string): boolean => text.includes(FENCE) || DIFF.test(text)

/** What was said to the model, not what it or its tools said. */
const isInstruction = ({ role }: ChatMessage): boolean => role === 'user' || role === 'system' || role === 'developer'

type Seen = { characters: number; media: number; images: boolean; audio: boolean }

function look({ content, tool_calls }: ChatMessage, seen: Seen): void {
  if (tool_calls) seen.characters += JSON.stringify(tool_calls).length
  if (typeof content === 'string') {
    seen.characters += content.length
    return
  }
  if (!Array.isArray(content)) return
  for (const part of content) {
    seen.characters += textOf(part).length
    const [isImage, isAudio] = [isOf(IMAGES, part), isOf(AUDIO, part)]
    if (isImage || isAudio || isOf(OTHER_MEDIA, part)) seen.media += 1
    seen.images ||= isImage
    seen.audio ||= isAudio
  }
}

type Part = { type?: unknown; text?: unknown } | null

const isOf = (kinds: ReadonlySet<unknown>, part: Part): boolean => kinds.has(part?.type)
const textOf = (part: Part): string => (typeof part?.text === 'string' ? part.text : '')

function newestText(messages: readonly ChatMessage[], isWanted: (message: ChatMessage) => boolean): string {
  const texts: string[] = []
  let left = MOST_SCANNED_CHARACTERS
  for (let at = messages.length - 1; at >= 0 && left > 0; at -= 1) {
    const message = messages[at]
    if (!message || !isWanted(message)) continue
    const { content } = message
    const text = typeof content === 'string' ? content : Array.isArray(content) ? content.map(textOf).join('\n') : ''
    texts.push(text.slice(-left))
    left -= text.length
  }
  return texts.join('\n')
}
