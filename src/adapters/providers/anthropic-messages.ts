import type { ChatMessage } from '../../core/models.ts'
import { type Block, blocksOf, cacheControlOf } from './anthropic-content.ts'
import type { ToolIds } from './anthropic-tool-ids.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsObject, inexpressible } from './neutral.ts'

/** Stands for the user where a conversation has none, or begins with the assistant: the vendor wants a user first. */
const ABSENT_USER: Block = { type: 'text', text: '.' }

/** Roles whose text goes before the conversation. */
const instructing: ReadonlySet<string> = new Set(['system', 'developer'])

export type Conversation = {
  system: Block[]
  turns: { role: 'user' | 'assistant'; content: Block[] }[]
  /** Names of the tools that were called, in the order of their first call. */
  called: ReadonlySet<string>
}

type Turn = { role: 'user' | 'assistant'; results: Block[]; content: Block[] }
type State = { toolIds: ToolIds; ignored: Set<string>; called: Set<string>; oldCall: string | undefined }

/**
 * A conversation in turns: instructions before all of it, messages of one side in a row as one turn, results of tools
 * first in theirs. What has no place is added to `ignored`. Throws `inexpressible` with the name of the field.
 */
export function conversationOf(
  messages: readonly ChatMessage[],
  { toolIds, ignored }: Pick<State, 'toolIds' | 'ignored'>,
): Conversation {
  const state: State = { toolIds, ignored, called: new Set(), oldCall: undefined }
  const system: Block[] = []
  const turns: Turn[] = []
  for (const [position, message] of messages.entries()) {
    const path = `messages[${position}]`
    if (message.name !== undefined && !/^(tool|function)$/.test(message.role)) ignored.add('messages[].name')
    if (instructing.has(message.role))
      system.push(...withCacheControl(blocksOf(message.content, { path, ignored }), message))
    else addTo(turns, spoken(message, path, state))
  }
  if (turns[0]?.role !== 'user') turns.unshift({ role: 'user', results: [], content: [ABSENT_USER] })
  return {
    system,
    turns: turns.map(({ role, results, content }) => ({ role, content: [...results, ...content] })),
    called: state.called,
  }
}

function addTo(turns: Turn[], said: Turn): void {
  if (said.results.length + said.content.length === 0) return
  const last = turns.at(-1)
  if (last?.role !== said.role) {
    turns.push(said)
    return
  }
  last.results.push(...said.results)
  last.content.push(...said.content)
}

function spoken(message: ChatMessage, path: string, state: State): Turn {
  const place = { path, ignored: state.ignored }
  switch (message.role) {
    case 'user':
      return { role: 'user', results: [], content: withCacheControl(blocksOf(message.content, place), message) }
    case 'assistant':
      return { role: 'assistant', results: [], content: answered(message, path, state) }
    case 'tool':
    case 'function':
      return { role: 'user', results: [resultOf(message, path, state)], content: [] }
    default:
      throw inexpressible(`This vendor has no role '${message.role}'.`, `${path}.role`)
  }
}

/** A mark on a message is a mark on its last block. */
function withCacheControl(blocks: Block[], message: ChatMessage): Block[] {
  const last = blocks.at(-1)
  return last === undefined ? blocks : [...blocks.slice(0, -1), { ...cacheControlOf(message), ...last }]
}

/** Thoughts, text and calls, in the order in which the vendor wrote them. */
function answered(message: ChatMessage, path: string, state: State): Block[] {
  const { ignored } = state
  const thoughts = thoughtsOf(message)
  if (thoughts.length === 0 && message.reasoning_content) ignored.add('messages[].reasoning_content')
  if (message.audio) ignored.add(`${path}.audio`)
  const said = blocksOf(message.content || message.refusal, { path, ignored })
  return [...thoughts, ...withCacheControl([...said, ...callsOf(message, path, state)], message)]
}

/** Only signed thoughts are accepted, and only unchanged; a signed one may have no text. */
function thoughtsOf({ thinking_blocks: blocks }: ChatMessage): Block[] {
  return objectsOf(blocks).flatMap(({ type, thinking, signature, data }): Block[] => {
    if (type === 'redacted_thinking' && typeof data === 'string') return [{ type, data }]
    const isSigned = type === 'thinking' && typeof signature === 'string' && signature !== ''
    return isSigned ? [{ type, thinking: stringOf(thinking) ?? '', signature }] : []
  })
}

function callsOf(message: ChatMessage, path: string, state: State): Block[] {
  const calls = objectsOf(message.tool_calls).map((call, position) =>
    callOf(call, `${path}.tool_calls[${position}]`, state),
  )
  if (!isObject(message.function_call)) return calls
  const old = callOf({ function: message.function_call }, path, state, 'function_call')
  state.oldCall = stringOf(old.id)
  return [...calls, old]
}

function callOf(call: JsonObject, path: string, state: State, field = 'function'): Block {
  const custom = isObject(call.custom) ? call.custom : undefined
  const called = custom ?? (isObject(call.function) ? call.function : undefined)
  const name = stringOf(called?.name)
  if (called === undefined || !name) throw inexpressible('A tool call has no name.', `${path}.${field}`)
  state.called.add(name)
  const input = custom
    ? { input: stringOf(custom.input) ?? '' }
    : argumentsObject(called.arguments, `${path}.${field}.arguments`)
  return { type: 'tool_use', id: state.toolIds.call(stringOf(call.id)), name, input, ...cacheControlOf(call) }
}

function resultOf(message: ChatMessage, path: string, { toolIds, ignored, oldCall }: State): Block {
  const given = stringOf(message.tool_call_id)
  const id = given === undefined ? oldCall : toolIds.result(given)
  if (id === undefined)
    throw inexpressible('A tool message does not say which call it answers.', `${path}.tool_call_id`)
  const { content } = message
  const blocks = typeof content === 'string' ? content : blocksOf(content, { path, ignored })
  return {
    type: 'tool_result',
    tool_use_id: id,
    ...(blocks.length === 0 ? {} : { content: blocks }),
    ...(message.is_error === true ? { is_error: true } : {}),
    ...cacheControlOf(message),
  }
}
