import type { VendorQuirks } from '../../core/vendors.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** Fields that are text or null. */
const texts = ['content', 'refusal', 'reasoning_content', 'reasoning'] as const

/**
 * Brings a vendor's message or delta to OpenAI's shape in place and tells whether anything had to change:
 * content in parts (Mistral's thinking models) becomes text and `reasoning_content`, reasoning text that the vendor
 * keeps under another name moves to `reasoning_content`, and what should be text but is none is dropped.
 */
export function normaliseMessage(message: JsonObject, quirks: Pick<VendorQuirks, 'reasoningField'>): boolean {
  let changed = false
  if (Array.isArray(message.content)) {
    const { text, thinking } = joinedParts(message.content)
    message.content = text
    if (thinking !== '') message.reasoning_content = thinking
    changed = true
  }
  const { reasoningField } = quirks
  const reasoning = reasoningField === undefined ? undefined : message[reasoningField]
  if (reasoningField !== undefined && reasoning !== undefined) {
    delete message[reasoningField]
    message.reasoning_content ??= reasoning
    changed = true
  }
  for (const field of texts) {
    const value = message[field]
    if (value === undefined || value === null || typeof value === 'string') continue
    message[field] = typeof value === 'number' ? String(value) : null
    changed = true
  }
  return changed
}

function joinedParts(parts: readonly unknown[]): { text: string; thinking: string } {
  let text = ''
  let thinking = ''
  for (const part of objectsOf(parts)) {
    if (part.type === 'thinking') thinking += textOfThinking(part.thinking)
    else text += stringOf(part.text) ?? ''
  }
  return { text, thinking }
}

function textOfThinking(thinking: unknown): string {
  if (typeof thinking === 'string') return thinking
  return objectsOf(thinking)
    .map((part) => stringOf(part.text) ?? '')
    .join('')
}

/** OpenAI's `arguments` is JSON text; some vendors send the object itself. */
export function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value
  return isObject(value) ? JSON.stringify(value) : ''
}

/** An id for a tool call whose vendor gave none; the caller sends it back with the tool's result. */
export const newCallId = () => `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`

export const newCompletionId = () => `chatcmpl-${crypto.randomUUID().replaceAll('-', '')}`
