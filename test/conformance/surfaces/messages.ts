import type { Wire } from '../../../src/core/models.ts'
import { readMessage } from '../../support/message-events.ts'
import type { End, Truth } from '../truth.ts'
import { expectedOfChat } from './chat.ts'
import {
  canonical,
  checkedCounts,
  fieldsOf,
  googleSignature,
  type Heard,
  listOf,
  type Surface,
  stringOf,
} from './surface.ts'

type Fields = Record<string, unknown>

const reasons: Readonly<Record<End, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
}

function countsOf(usage: Fields): number[] | undefined {
  if (usage.input_tokens === undefined) return undefined
  const { input_tokens: input, cache_read_input_tokens: read, cache_creation_input_tokens: written } = usage
  const prompt = Number(input) + Number(read ?? 0) + Number(written ?? 0)
  const thoughts = fieldsOf(usage.output_tokens_details).thinking_tokens
  return checkedCounts([prompt, read, written, usage.output_tokens, thoughts])
}

const textOf = (blocks: readonly Fields[], type: string, field: string): string =>
  blocks.map((block) => (block.type === type ? stringOf(block[field]) : '')).join('')

const signaturesIn = (blocks: readonly Fields[]): string[] =>
  blocks.flatMap((block) => [stringOf(block.signature ?? block.data), ...googleSignature(block)]).filter(Boolean)

function heardOf(blocks: readonly Fields[], end: unknown, usage: Fields): Heard {
  if (typeof end !== 'string') throw new Error('no stop reason')
  return {
    text: textOf(blocks, 'text', 'text'),
    thoughts: textOf(blocks, 'thinking', 'thinking'),
    refusal: '',
    calls: blocks.flatMap(({ type, id, name, input }) =>
      type === 'tool_use' ? [{ id: stringOf(id), name: stringOf(name), json: canonical(JSON.stringify(input)) }] : [],
    ),
    end,
    counts: countsOf(usage),
    sources: blocks.flatMap(({ citations }) => listOf(citations).map(({ url }) => stringOf(url))),
    signatures: signaturesIn(blocks),
    images: 0,
  }
}

/** Words of a refusal are text here, and the reason says what they are. Sources are told by Anthropic's own answers alone. */
function expected(truth: Truth, wire: Wire): Omit<Heard, 'counts'> {
  const whole = expectedOfChat(truth)
  const isRefused = whole.refusal !== ''
  return {
    ...whole,
    text: whole.text + whole.refusal,
    refusal: '',
    end: isRefused ? 'refusal' : reasons[truth.end],
    sources: wire === 'anthropic' ? whole.sources : [],
    images: 0,
  }
}

/** Events that a client does not know are passed over. */
const UNKNOWN = /event: future_event\n.*\n\n/g

const request = (model: string) => ({ model, max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] })

/** platform.claude.com/docs/en/api/messages */
export const messages: Surface = {
  name: 'messages',
  path: '/v1/messages',
  request,
  streamed: (model) => ({ ...request(model), stream: true }),
  whole(body) {
    const { type, role, content, stop_reason: end, usage } = fieldsOf(body)
    if (type !== 'message' || role !== 'assistant') throw new Error('no message')
    return heardOf(listOf(content), end, fieldsOf(usage))
  },
  stream(text) {
    const { events, blocks, stopReason, usage, end, error } = readMessage(text.replaceAll(UNKNOWN, ''))
    if (end !== 'stopped') throw new Error(`an error: ${JSON.stringify(error)}`)
    const said = blocks.map(({ type, text: words, signature, start }): Fields => {
      if (type === 'tool_use') return { ...start, input: JSON.parse(words === '' ? '{}' : words) }
      if (type === 'thinking') return { ...start, thinking: words, signature }
      return type === 'text' ? { ...start, text: words } : start
    })
    const citations = events.flatMap(({ delta }) => fieldsOf(delta).citation ?? [])
    return heardOf([...said, { citations }], stopReason, usage ?? {})
  },
  expected,
}
