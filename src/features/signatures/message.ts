import type { ChatMessage } from '../../core/models.ts'

/** What a model wrote in one message, as far as a signature may belong to it. */
export type Written = {
  calls: readonly WrittenCall[]
  /** Blocks of thoughts that are whole, in their order (`thinking_blocks`). */
  thinking: readonly unknown[]
  text: string
  reasoning: string
  /** The thought signature of the text. */
  signature?: string | undefined
}

/** `input` is the text in which the call's arguments were written; `signature` a thought signature. */
export type WrittenCall = { id: string; name: string; input: string; signature?: string | undefined }

type Fields = Readonly<Record<string, unknown>>

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

const stringIn = (fields: Fields, name: string): string => {
  const value = fields[name]
  return typeof value === 'string' ? value : ''
}

/** Google's own place for a thought signature in OpenAI's shape. */
export function thoughtSignatureIn(holder: unknown): string | undefined {
  const extra = isFields(holder) ? holder.extra_content : undefined
  const google = isFields(extra) ? extra.google : undefined
  return (isFields(google) && stringIn(google, 'thought_signature')) || undefined
}

/** The same holder with a thought signature in that place, beside whatever else is there. */
export function withThoughtSignature<Holder extends object>(holder: Holder, signature: string): Holder {
  const extra = 'extra_content' in holder && isFields(holder.extra_content) ? holder.extra_content : {}
  const google = isFields(extra.google) ? extra.google : {}
  return { ...holder, extra_content: { ...extra, google: { ...google, thought_signature: signature } } }
}

/** A call, or a piece of one in a stream: what a piece does not tell is empty. */
export function callIn(given: unknown): WrittenCall {
  const call = isFields(given) ? given : {}
  const made = isFields(call.function) ? call.function : isFields(call.custom) ? call.custom : {}
  return {
    id: stringIn(call, 'id'),
    name: stringIn(made, 'name'),
    input: stringIn(made, 'arguments') + stringIn(made, 'input'),
    signature: thoughtSignatureIn(call),
  }
}

export const writtenIn = (message: ChatMessage): Written => ({
  calls: listOf(message.tool_calls).map(callIn),
  thinking: listOf(message.thinking_blocks),
  text: textOf(message),
  reasoning: stringIn(message, 'reasoning_content'),
  signature: thoughtSignatureIn(message),
})

/** The text of a message; clients write the same one as a string or in parts. */
export function textOf({ content }: Pick<ChatMessage, 'content'>): string {
  if (typeof content === 'string') return content
  return listOf(content)
    .map((part) => (isFields(part) ? stringIn(part, 'text') : ''))
    .join('')
}

/** Whether anything in a message is signed: its client keeps such things itself. */
export const isSigned = ({ thinking, signature, calls }: Written): boolean =>
  thinking.length > 0 || signature !== undefined || calls.some((call) => call.signature !== undefined)
