import { isObject, type JsonObject, stringOf } from './json-shape.ts'
import { argumentsText, newCallId } from './openai-message.ts'

export type ToolCallTracker = {
  /** Brings the fragments of one delta to OpenAI's shape in place; tells whether anything had to change. */
  settle(fragments: readonly JsonObject[]): boolean
}

type OpenCall = { index: number; vendorId: string | undefined }

/** Follows the tool calls of one choice through its fragments. */
export function createToolCallTracker(): ToolCallTracker {
  /** By the vendor's index, the call that its fragments continue at the moment. */
  const open = new Map<number, OpenCall>()
  let count = 0
  let last: OpenCall | undefined

  /**
   * A fragment continues the call at its index, or without an index the one with its id, or the last one. It begins
   * a new call when it has both a name and an id that its index does not know: Gemini numbers parallel calls 0, 0, 0.
   */
  function callOf(fragment: JsonObject): { call: OpenCall; begins: boolean } {
    const vendorIndex = typeof fragment.index === 'number' ? fragment.index : undefined
    const id = stringOf(fragment.id) || undefined
    const known =
      vendorIndex === undefined ? (byId(id) ?? (id === undefined ? last : undefined)) : open.get(vendorIndex)
    const isOther = known !== undefined && id !== undefined && id !== known.vendorId && nameOf(fragment) !== undefined
    if (known !== undefined && !isOther) return { call: known, begins: false }
    const call = { index: count++, vendorId: id }
    open.set(vendorIndex ?? call.index, call)
    return { call, begins: true }
  }

  const byId = (id: string | undefined): OpenCall | undefined =>
    id === undefined ? undefined : [...open.values()].find((call) => call.vendorId === id)

  function settleOne(fragment: JsonObject): boolean {
    const { call, begins } = callOf(fragment)
    last = call
    let changed = fragment.index !== call.index
    fragment.index = call.index
    if (begins ? completeFirst(fragment) : stripLater(fragment)) changed = true
    return changed
  }

  return {
    settle(fragments) {
      let changed = false
      for (const fragment of fragments) if (settleOne(fragment)) changed = true
      return changed
    },
  }
}

const nameOf = (fragment: JsonObject): string | undefined =>
  isObject(fragment.function) ? stringOf(fragment.function.name) || undefined : undefined

function completeFirst(fragment: JsonObject): boolean {
  let changed = false
  if (!stringOf(fragment.id)) {
    fragment.id = newCallId()
    changed = true
  }
  if (!stringOf(fragment.type)) {
    fragment.type = 'function'
    changed = true
  }
  if (isObject(fragment.function) && typeof fragment.function.arguments !== 'string') {
    fragment.function.arguments = argumentsText(fragment.function.arguments)
    changed = true
  }
  return changed
}

function stripLater(fragment: JsonObject): boolean {
  let changed = false
  for (const field of ['id', 'type']) {
    if (field in fragment) {
      delete fragment[field]
      changed = true
    }
  }
  if (isObject(fragment.function) && 'name' in fragment.function) {
    delete fragment.function.name
    changed = true
  }
  if (isObject(fragment.function) && isObject(fragment.function.arguments)) {
    fragment.function.arguments = argumentsText(fragment.function.arguments)
    changed = true
  }
  return changed
}
