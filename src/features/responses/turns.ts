import type { ChatRequest } from '../completions/service.ts'
import { type Item, kindOf } from './items-schema.ts'
import { type ChatPart, chatContent, chatPart } from './parts.ts'

type ChatMessage = ChatRequest['messages'][number]

/** What an assistant has thought, said and called in a row: one message of a chat. */
type Turn = {
  thoughts: object[]
  reasoning: string
  parts: ChatPart[]
  refusal: string
  calls: { id: string; type: string; [field: string]: unknown }[]
  extra: object | undefined
}

const emptyTurn = (): Turn => ({ thoughts: [], reasoning: '', parts: [], refusal: '', calls: [], extra: undefined })

const isEmpty = ({ thoughts, reasoning, parts, refusal, calls }: Turn): boolean =>
  thoughts.length + parts.length + calls.length === 0 && reasoning === '' && refusal === ''

/**
 * Items as the messages of a chat. What an assistant did in a row is one message, so that results follow right behind
 * the calls that they answer.
 */
export function chatMessages(items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  const names = new Map<string, string>()
  let turn = emptyTurn()

  const end = (): void => {
    if (!isEmpty(turn)) messages.push(assistantMessage(turn))
    turn = emptyTurn()
  }

  for (const item of items) {
    const kind = kindOf(item)
    if (kind === 'message' && item.role !== 'assistant') {
      end()
      messages.push({ role: item.role ?? 'user', content: chatContent(item.content) })
    } else if (kind === 'function_call_output' || kind === 'custom_tool_call_output') {
      end()
      messages.push(resultMessage(item, names))
    } else if (kind === 'message') {
      // Said after something was said: another message, unless there are calls whose results must follow.
      if (turn.parts.length > 0 && turn.calls.length === 0) end()
      say(turn, item)
    } else if (kind === 'reasoning') think(turn, item)
    else if (kind === 'function_call' || kind === 'custom_tool_call') {
      names.set(item.call_id ?? '', item.name ?? '')
      turn.calls.push(toolCall(item))
    }
  }
  end()
  return messages
}

function say(turn: Turn, { content, extra_content: extra }: Item): void {
  const given = typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []).map(chatPart)
  for (const part of given) {
    if (part.type === 'refusal' && typeof part.refusal === 'string') turn.refusal += part.refusal
    else turn.parts.push(part)
  }
  if (extra) turn.extra = extra
}

function think(turn: Turn, { summary, content, thinking_blocks: blocks }: Item): void {
  const texts = Array.isArray(content) && content.length > 0 ? content : (summary ?? [])
  turn.reasoning += texts.map(({ text }) => text ?? '').join('\n\n')
  turn.thoughts.push(...(blocks ?? []))
}

function toolCall(item: Item): Turn['calls'][number] {
  const { call_id: id, name, extra_content: extra } = item
  const about = { id: id ?? '', ...(extra && { extra_content: extra }) }
  return kindOf(item) === 'custom_tool_call'
    ? { ...about, type: 'custom', custom: { name, input: item.input } }
    : { ...about, type: 'function', function: { name, arguments: item.arguments } }
}

function assistantMessage({ thoughts, reasoning, parts, refusal, calls, extra }: Turn): ChatMessage {
  const [first] = parts
  const isText = parts.length === 1 && first?.type === 'text' && !first.cache_control
  const text = isText && typeof first.text === 'string' ? first.text : parts
  return {
    role: 'assistant',
    content: parts.length === 0 ? null : text,
    ...(refusal !== '' && { refusal }),
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(thoughts.length > 0 && { thinking_blocks: thoughts }),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(extra && { extra_content: extra }),
  }
}

function resultMessage(
  { call_id: id, output, is_error: hasFailed }: Item,
  names: ReadonlyMap<string, string>,
): ChatMessage {
  const name = names.get(id ?? '')
  return {
    role: 'tool',
    tool_call_id: id ?? '',
    ...(name && { name }),
    content: chatContent(output),
    ...(hasFailed && { is_error: true }),
  }
}
