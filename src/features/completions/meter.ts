import type { ChatChunk, ChatCompletion, ChunkChoice, StreamPart, Usage } from '../../core/models.ts'
import { byteBound, estimateTokens } from '../../core/tokens.ts'
import { countsOf } from '../../core/usage.ts'

/** Counts what passes to the caller. The vendor's last cumulative usage wins over anything counted here. */
export type Meter = {
  take(part: StreamPart): void
  /** What the vendor said, last. */
  reported(): Usage | undefined
  /** Output tokens of what has been delivered, counted here. */
  delivered(): number
  /** A running count that is never far below the vendor's, for a hold that must not be outgrown. */
  running(): number
  /** Whether anything but roles and keep-alives has passed. */
  started(): boolean
  /** Choices that have begun and have no finish reason yet, with the one that fits if they end now. */
  open(): readonly { index: number; reason: 'stop' | 'tool_calls' }[]
}

/** With this many characters a chunk, a stream sends a token a chunk. */
const TOKEN_CHUNK_CHARS = { least: 2, most: 8 }
/** Text is counted and forgotten in blocks of about this size, so that a long stream keeps no memory. */
const BLOCK_CHARS = 4096

export function createMeter(): Meter {
  const choices = new Map<number, 'stop' | 'tool_calls' | 'finished'>()
  let usage: Usage | undefined
  let block = ''
  let blockTokens = 0
  let chars = 0
  let bytes = 0
  let chunks = 0

  const measure = (piece: string): void => {
    if (piece === '') return
    chunks += 1
    chars += piece.length
    bytes += byteBound(piece)
    block += piece
    if (block.length < BLOCK_CHARS) return
    blockTokens += estimateTokens(block)
    block = ''
  }

  return {
    take({ chunk, counted }) {
      const told = chunk.usage ?? counted
      if (told) usage = countsOf(told)
      for (const { index, delta, finish_reason } of chunk.choices) {
        if (choices.get(index) === 'finished') continue
        if (finish_reason) choices.set(index, 'finished')
        else if (delta.tool_calls) choices.set(index, 'tool_calls')
        else if (!choices.has(index)) choices.set(index, 'stop')
      }
      measure(contentOf(chunk))
    },
    reported: () => usage,
    delivered() {
      if (chunks === 0) return 0
      const perChunk = chars / chunks
      const tokenwise = perChunk >= TOKEN_CHUNK_CHARS.least && perChunk <= TOKEN_CHUNK_CHARS.most
      return tokenwise ? chunks : blockTokens + estimateTokens(block)
    },
    // Two bytes a token: in scripts of three bytes a sign many a tokenizer makes a token of each.
    running: () => Math.max(chunks, Math.ceil(bytes / 2)),
    started: () => chunks > 0,
    open: () => [...choices].flatMap(([index, reason]) => (reason === 'finished' ? [] : [{ index, reason }])),
  }
}

/** Everything a model wrote in a chunk, over all choices: text, refusals, reasoning, the input of tools. */
function contentOf({ choices }: ChatChunk): string {
  let text = ''
  for (const { delta } of choices) {
    if (delta.content) text += delta.content
    const thought = delta.reasoning_content ?? delta.reasoning
    if (thought) text += thought
    if (delta.refusal) text += delta.refusal
    if (delta.tool_calls || delta.function_call) text += calledIn(delta)
  }
  return text
}

/** Names and input of calls: of functions, of custom tools, and of the one function that old clients know. */
function calledIn({ tool_calls: calls, function_call: old }: ChunkChoice['delta']): string {
  let text = written(old)
  for (const call of calls ?? []) text += written(call.function) + written(call.custom)
  return text
}

function written(call: unknown): string {
  if (typeof call !== 'object' || call === null) return ''
  const texts = [field(call, 'name'), field(call, 'arguments'), field(call, 'input')]
  return texts.join('')
}

function field(holder: object, name: string): string {
  const value: unknown = Reflect.get(holder, name)
  return typeof value === 'string' ? value : ''
}

/** Everything a model wrote in a whole answer, over all choices. */
export function writtenIn({ choices }: Pick<ChatCompletion, 'choices'>): string {
  let text = ''
  for (const { message } of choices) {
    const { content, tool_calls: calls, function_call: old } = message
    text += typeof content === 'string' ? content : ''
    text += field(message, 'reasoning_content') || field(message, 'reasoning')
    text += field(message, 'refusal') + written(old)
    if (Array.isArray(calls)) for (const call of calls) text += written(call?.function) + written(call?.custom)
  }
  return text
}

/** Whether the caller would notice this part: content, or the end of a choice. */
export const isContent = ({ chunk }: StreamPart): boolean =>
  contentOf(chunk) !== '' || chunk.choices.some(({ finish_reason }) => Boolean(finish_reason))
