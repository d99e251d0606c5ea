import type { ChatMessage, ChunkChoice, ToolCallDelta } from '../../core/models.ts'
import type { Fields } from './response.ts'

/** A piece of an answer, of the item that its key names. */
export type Piece =
  | { kind: 'reasoning'; key: string; text: string }
  /** A thought is whole. */
  | { kind: 'thought'; key: string; block: Fields }
  | { kind: 'text'; key: string; text: string; logprobs: readonly unknown[] }
  | { kind: 'refusal'; key: string; text: string }
  | { kind: 'annotation'; key: string; annotation: Fields }
  /** What another wire wants back with what was said. */
  | { kind: 'extra'; key: string; extra: Fields }
  | CallPiece

export type CallPiece = {
  kind: 'call'
  key: string
  isCustom: boolean
  callId: string
  name: string
  input: string
  extra: Fields | undefined
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null

const fieldsIn = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isFields) : [])

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The pieces of a part of a stream. */
export function piecesOf({ delta, logprobs }: Pick<ChunkChoice, 'delta'> & { logprobs?: unknown }): Piece[] {
  const pieces: Piece[] = []
  const reasoning = delta.reasoning_content ?? delta.reasoning
  if (reasoning) pieces.push({ kind: 'reasoning', key: 'reasoning', text: reasoning })
  for (const block of fieldsIn(delta.thinking_blocks)) pieces.push({ kind: 'thought', key: 'reasoning', block })
  if (delta.content)
    pieces.push({ kind: 'text', key: 'message', text: delta.content, logprobs: probabilities(logprobs) })
  if (delta.refusal) pieces.push({ kind: 'refusal', key: 'message', text: delta.refusal })
  for (const note of fieldsIn(delta.annotations))
    pieces.push({ kind: 'annotation', key: 'message', annotation: flat(note) })
  if (isFields(delta.extra_content)) pieces.push({ kind: 'extra', key: 'message', extra: delta.extra_content })
  for (const call of delta.tool_calls ?? []) pieces.push(calledIn(call))
  return pieces
}

/** The same of an answer in one piece. Whole thoughts have the text of the reasoning in them. */
export function piecesOfWhole(message: ChatMessage, logprobs: unknown): Piece[] {
  const { content, reasoning_content: thought, reasoning, tool_calls: calls, refusal, ...rest } = message
  const hasThoughts = fieldsIn(message.thinking_blocks).length > 0
  const delta: ChunkChoice['delta'] = {
    thinking_blocks: rest.thinking_blocks,
    annotations: rest.annotations,
    extra_content: rest.extra_content,
    reasoning_content: hasThoughts ? '' : textOf(thought) || textOf(reasoning),
    content: textOf(content),
    refusal: textOf(refusal),
    tool_calls: fieldsIn(calls).map((call, index) => ({ ...call, index })),
  }
  return piecesOf({ delta, logprobs })
}

const probabilities = (logprobs: unknown): readonly unknown[] =>
  isFields(logprobs) && Array.isArray(logprobs.content) ? logprobs.content : []

/** Chat completions put what an annotation says under its type. */
function flat({ type, ...rest }: Fields): Fields {
  const said = rest[textOf(type)]
  return isFields(said) ? { type, ...said } : { type, ...rest }
}

function calledIn({ index, id, function: called, custom, extra_content: extra }: ToolCallDelta): CallPiece {
  const isCustom = isFields(custom)
  const { name, input } = isCustom ? custom : { name: called?.name, input: called?.arguments }
  return {
    kind: 'call',
    key: `call ${index}`,
    isCustom,
    callId: id ?? '',
    name: textOf(name),
    input: textOf(input),
    extra: isFields(extra) ? extra : undefined,
  }
}
