import type { ChatChunk, ChatCompletion, ChatMessage, ChunkChoice, StreamPart, WireUsage } from '../../core/models.ts'

/** Puts a stream together to the answer that it tells. */
export type Assembler = {
  take(parts: readonly StreamPart[]): void
  /** The whole answer; undefined for one that is too long, incomplete, or says what a whole answer has no place for. */
  completion(): ChatCompletion | undefined
}

type Choice = ChatCompletion['choices'][number]
type Delta = ChunkChoice['delta']

/** Fields of a delta whose pieces are one text. */
const TEXTS = ['content', 'refusal', 'reasoning', 'reasoning_content'] as const
const LISTS = ['thinking_blocks', 'annotations'] as const
const UNDERSTOOD: ReadonlySet<string> = new Set(['role', 'extra_content', ...TEXTS, ...LISTS])

/** By this Anthropic's wire tells where a text comes from, for which chunks have no words; within a text it looks otherwise. */
const CITED = '"citations_delta"'

/** Of texts and their probabilities no more than `maxChars` are kept; calls of tools are not put together at all. */
export function createAssembler(maxChars: number): Assembler {
  const choices = new Map<number, Choice>()
  let head: Partial<ChatChunk> = {}
  let usage: WireUsage | undefined
  let chars = 0
  let isLost = false

  const choiceAt = (index: number): Choice => {
    const known = choices.get(index)
    if (known) return known
    const choice: Choice = { index, message: { role: 'assistant', content: null }, finish_reason: null }
    choices.set(index, choice)
    return choice
  }

  const add = ({ index, delta, finish_reason, logprobs, ...told }: ChunkChoice): void => {
    const choice = choiceAt(index)
    if (!addDelta(choice.message, delta)) isLost = true
    chars += TEXTS.reduce((sum, field) => sum + (delta[field]?.length ?? 0), 0)
    if (logprobs) {
      chars += JSON.stringify(logprobs).length
      choice.logprobs = joinedLogprobs(choice.logprobs, logprobs)
    }
    if (finish_reason) choice.finish_reason = finish_reason
    for (const [field, value] of Object.entries(told)) if (value !== null && value !== undefined) choice[field] = value
  }

  const take = ({ choices: told, usage: counted, ...rest }: ChatChunk): void => {
    head = { ...rest, ...head }
    if (counted) usage = counted
    for (const choice of told) add(choice)
    isLost ||= chars > maxChars
  }

  return {
    take(parts) {
      for (const { chunk, native } of parts) {
        isLost ||= native?.some(({ data }) => data.includes(CITED)) ?? false
        if (!isLost) take(chunk)
      }
      if (isLost) choices.clear()
    },
    completion() {
      const inOrder = [...choices.values()].sort((one, other) => one.index - other.index)
      if (isLost || inOrder.length === 0 || inOrder.some(({ finish_reason }) => !finish_reason)) return undefined
      const { id = '', created = 0, model = '', choices: _none, usage: _later, ...rest } = head
      const whole = { ...rest, id, object: 'chat.completion', created, model, choices: inOrder }
      return usage ? { ...whole, usage } : whole
    },
  }
}

/** False for a delta with something in it that is not understood. */
function addDelta(message: ChatMessage, delta: Delta): boolean {
  for (const [field, value] of Object.entries(delta)) {
    if (!UNDERSTOOD.has(field) && value !== null && value !== undefined) return false
  }
  for (const field of TEXTS) {
    const [before, piece] = [message[field], delta[field]]
    if (typeof piece === 'string') message[field] = typeof before === 'string' ? before + piece : piece
  }
  for (const field of LISTS) {
    const [before, more] = [message[field], delta[field]]
    if (Array.isArray(more)) message[field] = [...(Array.isArray(before) ? before : []), ...more]
  }
  if (delta.extra_content) message.extra_content = delta.extra_content
  return true
}

type Logprobs = Readonly<Record<string, unknown>>

/** OpenAI's lists of tokens, of the content and of a refusal. */
function joinedLogprobs(before: unknown, more: unknown): unknown {
  if (!isFields(before) || !isFields(more)) return more
  const listIn = (of: Logprobs, field: string): unknown[] | undefined =>
    Array.isArray(of[field]) ? of[field] : undefined
  const joined = (field: string): unknown[] | null => {
    const lists = [listIn(before, field), listIn(more, field)].filter((list) => list !== undefined)
    return lists.length > 0 ? lists.flat() : null
  }
  return { ...before, ...more, content: joined('content'), refusal: joined('refusal') }
}

const isFields = (value: unknown): value is Logprobs => typeof value === 'object' && value !== null
