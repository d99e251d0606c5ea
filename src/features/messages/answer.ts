import type { ChatCompletion, Usage } from '../../core/models.ts'
import { blockIdOf } from './ids.ts'
import { stopReason } from './stop.ts'
import { messageUsage } from './usage.ts'

type Block = { type: string; [field: string]: unknown }

/** An answer in one piece as Anthropic's message. */
export function messageOf(completion: ChatCompletion, { id, usage }: { id: string; usage: Usage }) {
  const [choice] = completion.choices
  const message = choice?.message ?? {}
  const refusal = textOf(message, 'refusal')
  const text = textOf(message, 'content') + refusal
  const tools = toolUses(message)
  return {
    id,
    type: 'message',
    role: 'assistant',
    model: completion.model,
    content: [...thoughts(message), ...(text === '' ? [] : [textBlock(text, message)]), ...tools],
    stop_reason: stopReason({
      finish_reason: choice?.finish_reason,
      native_finish_reason: choice?.native_finish_reason,
      hasTools: tools.length > 0,
      isRefused: refusal !== '',
    }),
    stop_sequence: null,
    stop_details: detailsOf(choice),
    container: null,
    diagnostics: null,
    usage: messageUsage(usage),
  }
}

/** What a vendor of Anthropic's wire says about a refusal. */
export function detailsOf(choice: Fields | undefined): Fields | null {
  const details = choice?.stop_details
  return isFields(details) ? details : null
}

/** The model itself uses the tool: none of a vendor's own tools does. */
export const DIRECT = { type: 'direct' }

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const fieldsIn = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isFields) : [])

function textOf(holder: Fields, field: string): string {
  const value = holder[field]
  return typeof value === 'string' ? value : ''
}

/** What another wire wants back with a text or a call travels in the block, where clients keep what they do not know. */
const extraOf = ({ extra_content: extra }: Fields) => (isFields(extra) ? { extra_content: extra } : {})

const textBlock = (text: string, message: Fields): Block => ({
  type: 'text',
  text,
  citations: null,
  ...extraOf(message),
})

/** Whole thoughts as their vendor signed them, or the bare text of what was thought. */
function thoughts(message: Fields): Block[] {
  const whole = fieldsIn(message.thinking_blocks).flatMap(thought)
  if (whole.length > 0) return whole
  const text = textOf(message, 'reasoning_content')
  return text === '' ? [] : [{ type: 'thinking', thinking: text, signature: '' }]
}

/** A thought as the block that Anthropic makes of it; nothing of what is none. */
export function thought(block: Fields): Block[] {
  if (block.type === 'redacted_thinking') return [{ type: 'redacted_thinking', data: textOf(block, 'data') }]
  if (block.type !== 'thinking') return []
  return [{ type: 'thinking', thinking: textOf(block, 'thinking'), signature: textOf(block, 'signature') }]
}

function toolUses(message: Fields): Block[] {
  return fieldsIn(message.tool_calls).flatMap((call) => {
    const { function: called } = call
    if (!isFields(called)) return []
    return [
      {
        type: 'tool_use',
        id: blockIdOf(textOf(call, 'id')),
        name: textOf(called, 'name'),
        input: inputOf(textOf(called, 'arguments')),
        caller: DIRECT,
        ...extraOf(call),
      },
    ]
  })
}

/**
 * Arguments as the object that Anthropic's clients read. What a model wrote that is none stays readable, under the
 * name that Anthropic itself gives such text:
 * https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
 */
function inputOf(text: string): Fields {
  if (text.trim() === '') return {}
  try {
    const parsed: unknown = JSON.parse(text)
    if (isFields(parsed)) return parsed
  } catch {
    // It broke off, or was never JSON.
  }
  return { INVALID_JSON: text }
}
