import * as z from 'zod'
import { type Block, blocksIn, type MessagesRequest, signatureOf } from './anthropic-rules.ts'

/** How the fake answers: `fake:` and this as JSON, in the last text of the last turn. */
const Script = z.strictObject({
  think: z.string().optional(),
  redact: z.boolean().optional(),
  text: z.string().optional(),
  calls: z.array(z.strictObject({ name: z.string(), input: z.record(z.string(), z.unknown()) })).optional(),
  /** So many steps of this script, each on the results of the last, before the answer. */
  loop: z.int().min(1).optional(),
  stop: z.string().optional(),
  /** An error in place of an answer, by its type. */
  error: z.string().optional(),
  /** The same, in the middle of a stream. */
  late: z.string().optional(),
  /** The stream breaks off before its end. */
  cut: z.boolean().optional(),
})
export type Script = z.infer<typeof Script>

const textsIn = (message: MessagesRequest['messages'][number] | undefined): string[] =>
  message === undefined ? [] : blocksIn(message).flatMap(({ type, text }) => (type === 'text' ? [String(text)] : []))

export function scriptOf({ messages }: MessagesRequest): Script {
  const last = messages.at(-1)
  const text = textsIn(last).at(-1) ?? ''
  if (text.startsWith('fake:')) return stepOf(readScript(text), 0)
  const results = last === undefined ? [] : blocksIn(last).filter(({ type }) => type === 'tool_result')
  return (
    (text === '' ? nextStep(messages) : undefined) ?? {
      text: results.length > 0 ? `${results.length} results` : `You said: ${text}`,
    }
  )
}

const readScript = (text: string): Script => Script.parse(JSON.parse(text.slice('fake:'.length)))

/** Of a loop that goes on; undefined when there is none, or its last step was done. */
function nextStep(messages: MessagesRequest['messages']): Script | undefined {
  const asked = messages.findLastIndex((message) => message.role === 'user' && textsIn(message).length > 0)
  const text = textsIn(messages[asked]).at(-1) ?? ''
  const script = text.startsWith('fake:') ? readScript(text) : {}
  const step = messages.slice(asked).filter(({ role }) => role === 'assistant').length
  return step < (script.loop ?? 0) ? stepOf(script, step) : undefined
}

/** Every step of a loop thinks another thought. */
const stepOf = (script: Script, step: number): Script =>
  script.loop === undefined || script.think === undefined ? script : { ...script, think: `${script.think} (${step})` }

let messages = 0

/** The message that the vendor would give whole. */
export function messageFor(request: MessagesRequest, script: Script) {
  const content: Block[] = []
  if (script.think !== undefined) {
    content.push({ type: 'thinking', thinking: script.think, signature: signatureOf(script.think) })
  }
  if (script.redact) content.push({ type: 'redacted_thinking', data: 'ErUBredacted' })
  if (script.text !== undefined) content.push({ type: 'text', text: script.text, citations: null })
  const calls = (script.calls ?? []).map((call, position) => ({
    type: 'tool_use',
    id: `toolu_${String(messages).padStart(6, '0')}${position}`,
    ...call,
  }))
  content.push(...calls)
  messages += 1
  return {
    id: `msg_${String(messages).padStart(8, '0')}`,
    type: 'message',
    role: 'assistant',
    model: request.model,
    content,
    stop_reason: script.stop ?? (calls.length > 0 ? 'tool_use' : 'end_turn'),
    stop_sequence: null,
    usage: usageOf(request, content),
  }
}
export type Message = ReturnType<typeof messageFor>

/** About a token for every four characters; a mark for the cache has a hundred tokens written. */
function usageOf(request: MessagesRequest, content: readonly Block[]) {
  const text = JSON.stringify(request)
  const short = text.includes('"cache_control":{"type":"ephemeral"}') ? 100 : 0
  const hour = text.includes('"ttl":"1h"') ? 100 : 0
  return {
    input_tokens: inputTokens(request),
    cache_creation_input_tokens: short + hour,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: short, ephemeral_1h_input_tokens: hour },
    output_tokens: Math.ceil(JSON.stringify(content).length / 4),
    service_tier: 'standard',
  }
}

export const inputTokens = ({ messages: given, system, tools }: MessagesRequest): number =>
  Math.ceil(JSON.stringify([given, system, tools]).length / 4)

const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

/** Three characters a piece, so that escapes and words are cut. */
const pieces = (text: string): string[] => text.match(/[\s\S]{1,3}/g) ?? []

function blockEvents(block: Block, index: number): string[] {
  const start = (content: object) => event('content_block_start', { index, content_block: content })
  const delta = (type: string, fields: object) => event('content_block_delta', { index, delta: { type, ...fields } })
  const stop = event('content_block_stop', { index })
  if (block.type === 'text') {
    const deltas = pieces(String(block.text)).map((text) => delta('text_delta', { text }))
    return [start({ type: 'text', text: '' }), ...deltas, stop]
  }
  if (block.type === 'thinking') {
    const deltas = pieces(String(block.thinking)).map((thinking) => delta('thinking_delta', { thinking }))
    const signature = delta('signature_delta', { signature: block.signature })
    return [start({ type: 'thinking', thinking: '', signature: '' }), ...deltas, signature, stop]
  }
  if (block.type !== 'tool_use') return [start(block), stop]
  const input = JSON.stringify(block.input)
  const parts = input === '{}' ? [] : ['', ...pieces(input)]
  const deltas = parts.map((text) => delta('input_json_delta', { partial_json: text }))
  return [start({ ...block, input: {} }), ...deltas, stop]
}

/** The same message as its events, from `message_start` to `message_stop`. */
export function eventsFor(message: Message): string[] {
  const { content, stop_reason, stop_sequence, usage, ...head } = message
  const provisional = { ...usage, output_tokens: 1 }
  const { cache_creation: _split, service_tier: _tier, ...cumulative } = usage
  return [
    event('message_start', {
      message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage: provisional },
    }),
    event('ping', {}),
    ...content.flatMap(blockEvents),
    event('message_delta', { delta: { stop_reason, stop_sequence }, usage: cumulative }),
    event('message_stop', {}),
  ]
}
