import type { ChatChunk, ChunkChoice, StreamPart } from '../../core/models.ts'
import type { VendorQuirks } from '../../core/vendors.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { newCompletionId, normaliseMessage } from './openai-message.ts'
import { createToolCallTracker, type ToolCallTracker } from './openai-tool-deltas.ts'
import { normalUsage } from './usage.ts'

export type ChunkReader = {
  /** The part for the client; undefined when the event says nothing (a keep-alive chunk). */
  read(parsed: JsonObject, text: string): StreamPart | undefined
  /** Whether every choice that was asked for was seen and has its finish reason. */
  readonly finished: boolean
}

type ChoiceState = { finished: boolean; tools: ToolCallTracker | undefined }

/**
 * Makes one vendor's chunks obey the rules that clients rely on: one id, created and model for the stream; a role in
 * the first delta of each choice; exactly one finish reason a choice; tool fragments with an index, and with id,
 * type and name once. Keeps the vendor's own text when nothing had to change.
 */
export function createChunkReader(
  model: string,
  quirks: Pick<VendorQuirks, 'reasoningField'>,
  expectedChoices = 1,
): ChunkReader {
  const choices = new Map<number, ChoiceState>()
  let unfinished = 0
  let identity: { id: string; created: number; model: string } | undefined

  function read(parsed: JsonObject, text: string): StreamPart | undefined {
    const list = Array.isArray(parsed.choices) ? parsed.choices : undefined
    const hasUsage = isObject(parsed.usage)
    if ((list === undefined || list.length === 0) && !hasUsage) return undefined
    let changed = false
    if (list === undefined) {
      parsed.choices = []
      changed = true
    } else {
      for (let position = 0; position < list.length; position++) {
        if (readChoice(list, position)) changed = true
      }
    }
    if (identify(parsed)) changed = true
    if (hasUsage && settleUsage(parsed)) changed = true
    return { chunk: parsed as ChatChunk, json: changed ? JSON.stringify(parsed) : text }
  }

  function readChoice(list: unknown[], position: number): boolean {
    const given = list[position]
    const choice = isObject(given) ? given : {}
    let changed = choice !== given
    list[position] = choice
    if (typeof choice.index !== 'number') {
      choice.index = position
      changed = true
    }
    if (!isObject(choice.delta)) {
      choice.delta = {}
      changed = true
    }
    return settleChoice(choice as ChunkChoice) || changed
  }

  function settleChoice(choice: ChunkChoice): boolean {
    const { delta } = choice
    let state = choices.get(choice.index)
    let changed = false
    if (state === undefined) {
      state = { finished: false, tools: undefined }
      choices.set(choice.index, state)
      unfinished++
      if (!delta.role) {
        choice.delta = { ...delta, role: 'assistant' }
        changed = true
      }
    }
    if (normaliseMessage(choice.delta, quirks)) changed = true
    if (choice.delta.tool_calls && settleTools(choice.delta, state)) changed = true
    return settleFinish(choice, state) || changed
  }

  function settleTools(delta: JsonObject, state: ChoiceState): boolean {
    const given = delta.tool_calls
    const fragments = objectsOf(given)
    if (!Array.isArray(given) || (given.length > 0 && fragments.length === 0)) {
      delete delta.tool_calls
      return true
    }
    const changed = fragments.length < given.length
    if (changed) delta.tool_calls = fragments
    state.tools ??= createToolCallTracker()
    return state.tools.settle(fragments) || changed
  }

  function settleFinish(choice: ChunkChoice, state: ChoiceState): boolean {
    const reason = choice.finish_reason
    if (reason === null || reason === undefined) return false
    if (state.finished || !stringOf(reason)) {
      choice.finish_reason = null
      return true
    }
    state.finished = true
    unfinished--
    return false
  }

  function identify(chunk: JsonObject): boolean {
    identity ??= {
      id: stringOf(chunk.id) || newCompletionId(),
      created: typeof chunk.created === 'number' && chunk.created > 0 ? chunk.created : Math.floor(Date.now() / 1000),
      model: stringOf(chunk.model) || model,
    }
    const same =
      chunk.id === identity.id &&
      chunk.created === identity.created &&
      chunk.model === identity.model &&
      chunk.object === 'chat.completion.chunk'
    if (!same) Object.assign(chunk, identity, { object: 'chat.completion.chunk' })
    return !same
  }

  return {
    read,
    get finished() {
      return choices.size >= expectedChoices && unfinished === 0
    },
  }
}

function settleUsage(chunk: JsonObject): boolean {
  const usage = normalUsage(chunk.usage)
  if (usage === chunk.usage) return false
  chunk.usage = usage ?? null
  return true
}
