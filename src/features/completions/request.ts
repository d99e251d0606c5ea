import type { EnsembleConfig } from '../../core/ensemble.ts'
import type { ChatBody, ChatMessage, NativeRequest } from '../../core/models.ts'
import type { Priority } from '../../core/routing.ts'
import { byteBound, roughTokens } from '../../core/tokens.ts'
import type { CacheOptions } from '../cache/service.ts'
import { type Need, type Target, type Wanted, wishOf } from '../routing/service.ts'
import type { Recalled } from '../signatures/service.ts'
import type { ChatRequest } from './schema.ts'

/** A chat request taken apart: what the vendor will read, and what only we do. */
export type Asked = {
  operation: 'chat' | 'completion'
  body: ChatBody
  wanted: Wanted
  strict: boolean
  stream: boolean
  includeUsage: boolean
  onDisconnect: 'cancel' | 'drain'
  /** The run that the call is part of. */
  runId: string | undefined
  /** Undefined leaves the time to the targets. */
  timeoutMs: number | undefined
  /** Who goes first where calls have to wait. */
  priority?: Priority | undefined
  /** A target that did not answer in time may be followed by another, though both may have to be paid. */
  mayPayTwice?: boolean | undefined
  /** Several models answer together, as far as it is said how; undefined for a call of one. */
  ensemble?: EnsembleConfig | undefined
  /** What the caller wants of kept answers; undefined leaves it to their routing policy. */
  cache?: CacheOptions | undefined
  /** Fields of the caller's body that no target gets, for the caller to know. */
  lost?: readonly string[]
  /** Messages of the body with what was signed of them, for the targets that signed it. */
  recalled?: readonly Recalled[]
  /** What else there is to a request whose body was translated from another wire. */
  translation?: Translation
}

export type Translation = {
  /** As it was sent, for targets of its own wire; undefined where its history could not be sent there. */
  native: NativeRequest | undefined
  /** Fields and kinds of content that the body does not have, because only its own wire has a word for them. */
  untranslated: readonly string[]
  /** How hard to think, for models that can; `field` is what the caller calls it. */
  effort: { level: string; field: string } | undefined
  /** A target of its own wire reads more in the course of the call, of which nobody knows how much. */
  readsMore: boolean
}

/** The request for this target in the words in which it was sent, where it speaks them. */
export const nativeFor = ({ translation }: Asked, { provider }: Target): NativeRequest | undefined =>
  translation?.native !== undefined && translation.native.wire === provider.wire ? translation.native : undefined

/** Output tokens that a call without a limit of its own is expected to need. */
const EXPECTED_OUTPUT = 1000
/** The most that a model of unknown limits is let write under a hard budget. */
const UNKNOWN_MAX_OUTPUT = 8192
/** What a chat template and a tool's declaration add to the bytes of their text, at the most. */
const TOKENS_PER_MESSAGE = 16
const TOKENS_PER_TOOL = 64
/**
 * The same of a tool that a vendor's own type names, whose description and schema are nowhere in the request: up to some
 * 1200 are stated of one, and there are sets of tools.
 * https://platform.claude.com/docs/en/agents-and-tools/tool-use/computer-use-tool
 */
const TOKENS_PER_VENDOR_TOOL = 8192
/** What a model is told about tools as such; the longest of those that vendors state is of 530 tokens. */
const TOKENS_BEFORE_TOOLS = 1024
const DEFAULT_IMAGE_BOUND = 8192

export function readRequest(request: ChatRequest, operation: Asked['operation'] = 'chat'): Asked {
  const { helix, force_provider, provider, ensemble_config, ...body } = request
  const only = helix?.provider ?? force_provider ?? (typeof provider === 'string' ? provider : undefined)
  // An object under this name is OpenRouter's own routing block: it goes there, and is reported by the others.
  if (typeof provider === 'object' && provider !== null) Object.assign(body, { provider })
  return {
    operation,
    body: body as ChatBody,
    wanted: {
      model: request.model,
      provider: only,
      fallbacks: helix?.fallback_models,
      kind: 'chat',
      needs: needsOf(body as ChatBody),
      routing: wishOf(helix?.routing),
      taskType: helix?.task_type,
    },
    strict: helix?.strict === true,
    stream: request.stream === true,
    includeUsage: request.stream_options?.include_usage === true,
    onDisconnect: helix?.on_disconnect ?? 'cancel',
    runId: helix?.run_id,
    timeoutMs: helix?.timeout_ms,
    cache: helix?.cache,
    ensemble: hasTools(body) ? undefined : (helix?.ensemble_config ?? ensemble_config ?? undefined),
    mayPayTwice: wishOf(helix?.routing)?.allowDoubleCost,
    priority: helix?.priority,
  }
}

/** A call of several models, whatever it says of them; one with tools is of the first of those that it names. */
export function readEnsemble(request: ChatRequest): Asked {
  const asked = readRequest(request)
  if (!hasTools(asked.body)) return { ...asked, ensemble: asked.ensemble ?? {} }
  const { members } = request.helix?.ensemble_config ?? request.ensemble_config ?? {}
  const model = request.model === 'auto' ? (members?.[0] ?? request.model) : request.model
  return { ...asked, body: { ...asked.body, model }, wanted: { ...asked.wanted, model } }
}

/** What a model calls is for one model to answer for: calls of tools go to one. */
const hasTools = ({ tools }: Readonly<Record<string, unknown>>): boolean => Array.isArray(tools) && tools.length > 0

function needsOf({ messages, tools }: ChatBody): Need[] {
  const needs: Need[] = []
  if (messages.some(({ content }) => Array.isArray(content) && content.some((part) => part?.type === 'image_url'))) {
    needs.push('vision')
  }
  if (hasTools({ tools })) needs.push('tools')
  return needs
}

/** Parts whose bytes say nothing about their tokens. */
const MEDIA = new Set(['image_url', 'input_audio', 'file', 'video_url'])
const TOKENS_PER_MEDIUM = 765

/** A rough count of a conversation. Attachments count by the piece: their base64 is no text. */
function measure(messages: readonly ChatMessage[], count: (text: string) => number): number {
  let tokens = 0
  for (const { content, tool_calls, name } of messages) {
    if (typeof content === 'string') tokens += count(content)
    else if (Array.isArray(content)) {
      for (const part of content) {
        if (part?.type === 'text' && typeof part.text === 'string') tokens += count(part.text)
        else tokens += MEDIA.has(part?.type) ? TOKENS_PER_MEDIUM : count(JSON.stringify(part))
      }
    }
    if (tool_calls) tokens += count(JSON.stringify(tool_calls))
    if (name) tokens += count(name)
  }
  return tokens
}

const askedOutput = ({ max_tokens, max_completion_tokens }: ChatBody) =>
  max_completion_tokens ?? max_tokens ?? undefined

/** Tokens to take from the caller's token limits before the real count is known. */
export function expectedTokens({ body }: Asked): number {
  const prompt = measure(body.messages, (words) => roughTokens(words.length))
  const tools = body.tools ? roughTokens(JSON.stringify(body.tools).length) : 0
  const output = Math.min(askedOutput(body) ?? EXPECTED_OUTPUT, EXPECTED_OUTPUT) * (body.n ?? 1)
  return prompt + tools + output
}

/** A chat template frames every message, and opens the answer: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken */
const TOKENS_AROUND_MESSAGE = 4
const TOKENS_BEFORE_ANSWER = 3

/** A rough count of the prompt for a call whose vendor counts nothing. */
export function estimatedPrompt({ body }: Asked, countTokens: (text: string) => number): number {
  const tools = body.tools ? countTokens(JSON.stringify(body.tools)) : 0
  const framing = body.messages.length * TOKENS_AROUND_MESSAGE + TOKENS_BEFORE_ANSWER
  return measure(body.messages, countTokens) + framing + tools
}

/**
 * No tokenizer makes more input tokens of this request than that: every field is counted, for we do not know which of
 * them a vendor puts into its prompt. What only names its content, or packs it, is bounded by nothing but the model's
 * window; undefined where that is not known.
 */
export function inputBound(asked: Asked, target: Target): number | undefined {
  const { messages, tools } = asked.body
  const native = nativeFor(asked, target)
  if (native ? asked.translation?.readsMore : readsMoreAt(asked.body, target)) return undefined
  const { text, images } = native ? measureNative(native) : measureChat(asked.body)
  const perImage = target.entry?.imageTokenBound ?? DEFAULT_IMAGE_BOUND
  const around = messages.length * TOKENS_PER_MESSAGE + toolBound(native ? native.body.tools : tools)
  const bound = text + images * perImage + around
  // A node costs nothing, however much it reads.
  if (target.provider.kind === 'node' || !messages.some(isOpaque)) return bound
  const window = target.entry?.contextWindow
  return window === undefined ? undefined : Math.max(bound, window)
}

/** What a model is told of its tools beside their own words. */
function toolBound(tools: unknown): number {
  if (!Array.isArray(tools) || tools.length === 0) return 0
  const isOwn = (tool: unknown) => !isFields(tool) || !tool.type || OWN_TOOLS.has(tool.type)
  const known = tools.filter((tool: unknown) => !isOwn(tool)).length
  return TOKENS_BEFORE_TOOLS + (tools.length - known) * TOKENS_PER_TOOL + known * TOKENS_PER_VENDOR_TOOL
}

type Measured = { text: number; images: number }

/** A request is measured for every target that might answer it. */
const measured = new WeakMap<ChatBody, Measured>()

/** The bytes of a body without its images, and how many of these there are. */
function measureChat(body: ChatBody): Measured {
  const known = measured.get(body) ?? measureAnew(body)
  measured.set(body, known)
  return known
}

function measureAnew(body: ChatBody): Measured {
  const { messages } = body
  const images = messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isImage) : [])).length
  const textual = images === 0 ? body : { ...body, messages: messages.map(withoutImages) }
  return { text: byteBound(JSON.stringify(textual)), images: images + messages.flatMap(madeImages).length }
}

/** Images that a model has made, and that some vendors read again. */
const madeImages = ({ images }: ChatMessage): unknown[] => (Array.isArray(images) ? images : [])

/**
 * The same of a native body, whose images and documents have a source. Only blocks count as these: what looks like one
 * in the input of a tool or in a schema is text to the model.
 */
function measureNative({ body }: NativeRequest): Measured {
  let images = 0
  const withoutData = (blocks: unknown): unknown => (Array.isArray(blocks) ? blocks.map(ofBlock) : blocks)
  const ofBlock = (block: unknown): unknown => {
    if (!isFields(block)) return block
    const { type, source, content } = block
    if (type === 'tool_result' || type === 'search_result') return { ...block, content: withoutData(content) }
    if ((type !== 'image' && type !== 'document') || !isFields(source)) return block
    if (source.type === 'content') return { ...block, source: { ...source, content: withoutData(source.content) } }
    if (source.type === 'base64' || source.type === 'url') images += 1
    return source.type === 'base64' ? { ...block, source: { ...source, data: undefined } } : block
  }
  const { messages } = body
  const turns = Array.isArray(messages)
    ? messages.map((turn: unknown) => (isFields(turn) ? { ...turn, content: withoutData(turn.content) } : turn))
    : messages
  return { text: byteBound(JSON.stringify({ ...body, messages: turns })), images }
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Fields by which a vendor is told to have the model read what it finds. */
const SEARCHES = ['web_search_options', 'search_parameters', 'enable_search', 'plugins']
const OWN_TOOLS: ReadonlySet<unknown> = new Set(['function', 'custom'])

/** Whether a vendor of OpenAI's wire reads more in the course of the call; the other wires do not get such fields. */
const readsMoreAt = (body: ChatBody, { provider }: Target): boolean =>
  provider.kind !== 'node' && (provider.wire ?? 'openai') === 'openai' && mayReadMore(body)

/** Whether any vendor could read more in the course of the call. */
export function mayReadMore(body: ChatBody): boolean {
  const { tools } = body
  if (Array.isArray(tools) && tools.some((tool: unknown) => isFields(tool) && !OWN_TOOLS.has(tool.type))) return true
  return SEARCHES.map((field) => body[field]).some((value) => (Array.isArray(value) ? value.length > 0 : isOn(value)))
}

const isOn = (value: unknown): boolean => value !== undefined && value !== null && value !== false

/** Whether the bytes of a message say nothing about its tokens: files, films, and whatever is fetched by a name. */
function isOpaque(message: ChatMessage): boolean {
  const { content, audio } = message
  if (audio !== undefined && audio !== null) return true
  if (madeImages(message).some((image) => isFields(image) && isOtherData(image.image_url))) return true
  return Array.isArray(content) && content.some((part) => !isPlain(part))
}

function isPlain(part: { type?: unknown; input_audio?: unknown; image_url?: unknown }): boolean {
  if (part.type === 'text' || part.type === 'refusal') return true
  if (part.type === 'image_url') return !isOtherData(part.image_url)
  const { input_audio: audio } = part
  if (part.type !== 'input_audio' || typeof audio !== 'object' || audio === null) return false
  return 'data' in audio && typeof audio.data === 'string' && !('url' in audio)
}

/** Some vendors take documents and films in the place of an image. */
function isOtherData(image: unknown): boolean {
  const url = isFields(image) ? image.url : image
  return typeof url === 'string' && /^\s*data:(?!image\/)/i.test(url)
}

const isImage = (part: { type?: unknown } | null): boolean => part?.type === 'image_url'

function withoutImages(message: ChatMessage): ChatMessage {
  const { content } = message
  if (!Array.isArray(content)) return message
  return { ...message, content: content.map((part) => (isImage(part) ? { ...part, image_url: undefined } : part)) }
}

/** The most output tokens the target may write, over all choices: the caller's limit, or the model's own. */
export function outputBound({ body }: Asked, target: Target): number {
  return outputPerChoice(body, target) * (body.n ?? 1)
}

export function outputPerChoice(body: ChatBody, target: Target): number {
  const most = target.entry?.maxOutputTokens ?? UNKNOWN_MAX_OUTPUT
  return Math.min(askedOutput(body) ?? most, most)
}
