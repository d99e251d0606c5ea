import type { ChatRequest } from '../completions/service.ts'
import { isBlockId, vendorIdOf } from './ids.ts'
import { blocksIn, contentOf, type Losses, partsOf } from './parts.ts'
import type { Block, CountRequest, Message } from './schema.ts'

type ChatMessage = ChatRequest['messages'][number]
type Conversation = Pick<CountRequest, 'system' | 'messages'>

/** A conversation as OpenAI's messages. What has no form there is added to `lost`. */
export function chatMessages({ system, messages }: Conversation, lost: Losses): ChatMessage[] {
  const toolNames = new Map<string, string>()
  return [...systemMessages(system ?? '', lost), ...messages.flatMap((message) => turn(message, toolNames, lost))]
}

function systemMessages(system: string | readonly Block[], lost: Losses): ChatMessage[] {
  const content = typeof system === 'string' ? system : contentOf(partsOf(system, lost))
  return content.length === 0 ? [] : [{ role: 'system', content }]
}

function turn({ role, content }: Message, toolNames: Map<string, string>, lost: Losses): ChatMessage[] {
  if (role === 'system') return systemMessages(content, lost)
  if (typeof content === 'string') return [{ role, content }]
  return role === 'assistant' ? [assistantTurn(content, toolNames, lost)] : userTurn(content, toolNames, lost)
}

/** The results of tools come before anything else of their turn: OpenAI's wire wants them right behind the calls. */
function userTurn(blocks: readonly Block[], toolNames: ReadonlyMap<string, string>, lost: Losses): ChatMessage[] {
  const results = blocks.filter(({ type }) => type === 'tool_result')
  const rest = partsOf(
    blocks.filter(({ type }) => type !== 'tool_result'),
    lost,
  )
  const said: ChatMessage[] =
    rest.length > 0 || results.length === 0 ? [{ role: 'user', content: contentOf(rest) }] : []
  return [...results.map((result) => toolMessage(result, toolNames, lost)), ...said]
}

function toolMessage(result: Block, toolNames: ReadonlyMap<string, string>, lost: Losses): ChatMessage {
  const id = vendorIdOf(result.tool_use_id ?? '')
  const name = toolNames.get(id)
  return {
    role: 'tool',
    tool_call_id: id,
    ...(name !== undefined && { name }),
    content: contentOf(partsOf(blocksIn(result.content), lost)),
    ...(result.is_error === true && { is_error: true }),
    ...(result.cache_control && { cache_control: result.cache_control }),
  }
}

function assistantTurn(blocks: readonly Block[], toolNames: Map<string, string>, lost: Losses): ChatMessage {
  const thoughts = blocks.filter(isThought)
  const calls = blocks.filter(({ type }) => type === 'tool_use')
  const parts = partsOf(
    blocks.filter((block) => !isThought(block) && block.type !== 'tool_use'),
    lost,
  )
  for (const { id = '', name = '' } of calls) toolNames.set(vendorIdOf(id), name)
  const signed = blocks.findLast(({ type, extra_content: extra }) => type === 'text' && extra !== undefined)
  return {
    role: 'assistant',
    content: parts.length === 0 && calls.length > 0 ? null : contentOf(parts),
    ...thinkingFields(thoughts),
    ...(calls.length > 0 && { tool_calls: calls.map(toolCall) }),
    ...(signed && { extra_content: signed.extra_content }),
  }
}

const isThought = ({ type }: Block): boolean => type === 'thinking' || type === 'redacted_thinking'

/** Thoughts without a signature are another wire's: their text is all there is to them. */
function thinkingFields(thoughts: readonly Block[]): { reasoning_content?: string; thinking_blocks?: object[] } {
  const text = thoughts.map(({ thinking }) => thinking ?? '').join('')
  const whole = thoughts
    .filter(isWhole)
    .map((block) =>
      block.type === 'thinking'
        ? { type: 'thinking', thinking: block.thinking, signature: block.signature }
        : { type: 'redacted_thinking', data: block.data },
    )
  return { ...(text !== '' && { reasoning_content: text }), ...(whole.length > 0 && { thinking_blocks: whole }) }
}

const isWhole = ({ type, signature }: Block): boolean => type === 'redacted_thinking' || Boolean(signature)

function toolCall({ id = '', name = '', input, cache_control, extra_content: extra }: Block) {
  return {
    id: vendorIdOf(id),
    type: 'function',
    function: { name, arguments: JSON.stringify(input ?? {}) },
    ...(cache_control && { cache_control }),
    ...(extra !== undefined && { extra_content: extra }),
  }
}

/**
 * Whether a history holds what another wire has written, in the words in which this interface shows it: thoughts
 * without a signature, what belongs to a call of a tool there, long ids. Anthropic would refuse each of these.
 */
export const isForeign = (messages: readonly Message[]): boolean =>
  messages.some(
    ({ content }) =>
      typeof content !== 'string' &&
      content.some((block) => {
        if (isThought(block)) return !isWhole(block)
        return block.extra_content !== undefined || (block.type === 'tool_use' && !isBlockId(block.id ?? ''))
      }),
  )
