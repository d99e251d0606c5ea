import type { ChatChunk, ChatCompletion, ChatMessage, ChatStream, ChunkChoice, StreamPart } from '../../core/models.ts'

/** Characters of a piece of text: an answer that is there already need not be told token by token. */
const PIECE_CHARS = 200
/** Parts that are read at once, so that a slow caller need not be given everything. */
const BATCH = 16

type Choice = ChatCompletion['choices'][number]
type Delta = ChunkChoice['delta']

/** An answer that is there already, as a stream that says it. */
export function replayed(completion: ChatCompletion): ChatStream {
  const parts = replayParts(completion)
  let at = 0
  return {
    async read() {
      const batch = parts.slice(at, at + BATCH)
      at += batch.length
      return batch.length > 0 ? batch : undefined
    },
    cancel() {
      at = parts.length
    },
  }
}

/** The chunks of which a client puts the same answer together again; the last one tells the usage, if it is known. */
export function replayParts({ choices, usage, ...rest }: ChatCompletion): StreamPart[] {
  const head = { ...rest, object: 'chat.completion.chunk' }
  const chunks: ChatChunk[] = choices.flatMap(piecesOf).map((piece) => ({ ...head, choices: [piece] }))
  if (usage) chunks.push({ ...head, choices: [], usage })
  return chunks.map((chunk) => ({ chunk, json: JSON.stringify(chunk) }))
}

/** The role, then what was thought before what was said; what ends a choice comes last. */
function piecesOf({ index, message, finish_reason, logprobs, ...told }: Choice): ChunkChoice[] {
  const deltas = [
    { role: message.role },
    ...thoughtDeltas(message),
    ...textDeltas('content', message.content),
    ...textDeltas('refusal', message.refusal),
    ...callDeltas(message),
    ...otherDeltas(message),
  ]
  const pieces: ChunkChoice[] = deltas.map((delta) => ({ index, delta, finish_reason: null }))
  // Beside the first text that they may belong to.
  const spoken = pieces.find(({ delta }) => delta.content || delta.refusal) ?? pieces[0]
  if (logprobs && spoken) spoken.logprobs = logprobs
  return [...pieces, { index, delta: {}, finish_reason, ...told }]
}

/** A whole thought follows its own text: what is signed belongs to what stands before it. */
function thoughtDeltas({ thinking_blocks: blocks, reasoning_content, reasoning }: ChatMessage): Delta[] {
  if (!Array.isArray(blocks) || blocks.length === 0) {
    return [...textDeltas('reasoning_content', reasoning_content), ...textDeltas('reasoning', reasoning)]
  }
  return blocks.flatMap((block: { thinking?: unknown } | null) => [
    ...textDeltas('reasoning_content', block?.thinking),
    { thinking_blocks: [block] },
  ])
}

function textDeltas(field: 'content' | 'refusal' | 'reasoning' | 'reasoning_content', text: unknown): Delta[] {
  return typeof text === 'string' && text !== '' ? pieces(text).map((piece) => ({ [field]: piece })) : []
}

/** In pieces that break no character in two. */
function pieces(text: string): string[] {
  const found: string[] = []
  for (let at = 0; at < text.length; ) {
    let end = at + PIECE_CHARS
    if (isHighSurrogate(text.charCodeAt(end - 1)) && end < text.length) end += 1
    found.push(text.slice(at, end))
    at = end
  }
  return found
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff

function callDeltas({ tool_calls: calls }: ChatMessage): Delta[] {
  return Array.isArray(calls) ? calls.map((call, index) => ({ tool_calls: [{ ...call, index }] })) : []
}

const SAID = ['role', 'content', 'refusal', 'reasoning', 'reasoning_content', 'thinking_blocks', 'tool_calls']

/** Whatever else a message tells, such as its annotations. */
function otherDeltas(message: ChatMessage): Delta[] {
  const others = Object.entries(message).filter(
    ([field, value]) => !SAID.includes(field) && value !== null && value !== undefined,
  )
  return others.length > 0 ? [Object.fromEntries(others)] : []
}
