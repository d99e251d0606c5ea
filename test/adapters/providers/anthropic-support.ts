import { createAnthropic } from '../../../src/adapters/providers/anthropic.ts'
import { messagesRequest } from '../../../src/adapters/providers/anthropic-request.ts'
import { createAnthropicDecoder } from '../../../src/adapters/providers/anthropic-stream.ts'
import type { PartDecoder } from '../../../src/adapters/providers/chat-stream.ts'
import type { ChatBody, ChatCall, NativeRequest, Provider, StreamPart } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { callOf, decode, timeouts } from './support.ts'

export const apiKey = 'sk-ant-fake-0123456789abcdef'

/** The newest model that takes everything that some model takes. */
export const model = 'claude-opus-4-5'

export const anthropic = (outbound: Outbound, extra: { baseUrl?: string; apiKey?: string } = {}): Provider =>
  createAnthropic({
    name: 'anthropic',
    baseUrl: 'https://vendor.test',
    apiKey,
    outbound,
    timeouts,
    wholeTotalMs: 20_000,
    ...extra,
  })

/** A whole answer. */
export const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-x',
  content: [{ type: 'text', text: 'Hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
}

export const user = (content: unknown) => ({ role: 'user', content })
export const text = (value: string) => ({ type: 'text', text: value })
export const call = (id: string, args = '{}', name = 'f') => ({
  id,
  type: 'function',
  function: { name, arguments: args },
})
export const calling = (...calls: object[]) => ({ role: 'assistant', content: null, tool_calls: calls })
export const result = (id: string, content: unknown = 'ok', extra: object = {}) => ({
  role: 'tool',
  tool_call_id: id,
  content,
  ...extra,
})

/** The request that a chat body becomes. */
export function requestOf(body: Partial<ChatBody>, extra: Partial<ChatCall> = {}) {
  return messagesRequest(callOf(body, { model, ...extra }), () => undefined)
}

/** Only its conversation. */
export const turnsOf = (messages: ChatBody['messages']): unknown => requestOf({ messages }).body.messages

/** The field that a body is refused for. */
export function refusedField(body: Partial<ChatBody>): unknown {
  try {
    requestOf(body)
  } catch (failure) {
    if (failure instanceof Error && 'vendor' in failure) return (failure.vendor as { param?: unknown }).param
    throw failure
  }
  throw new Error('expected a refusal')
}

/** A request in Anthropic's own wire. */
export const nativeOf = (body: object, headers?: Record<string, string>): NativeRequest => ({
  wire: 'anthropic',
  body: { ...body },
  ...(headers === undefined ? {} : { headers }),
})

const asSent = { given: (id: string) => id }

export const anthropicDecoder = ({
  native = false,
  customTools = [],
}: {
  native?: boolean
  customTools?: string[]
} = {}): PartDecoder =>
  createAnthropicDecoder({
    upstream: { name: 'anthropic', secret: apiKey, baseUrl: 'https://vendor.test' },
    model: 'asked',
    expected: { customTools: new Set(customTools), toolIds: asSent },
    native,
  })

export const event = (type: string, fields: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

export const start = (usage: object = { input_tokens: 10, output_tokens: 1 }): string =>
  event('message_start', {
    message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-x', content: [], usage },
  })

export const blockStart = (index: number, block: object): string =>
  event('content_block_start', { index, content_block: block })

export const blockDelta = (index: number, type: string, fields: object): string =>
  event('content_block_delta', { index, delta: { type, ...fields } })

export const blockStop = (index: number): string => event('content_block_stop', { index })

export const end = (reason = 'end_turn', usage: object = { output_tokens: 7 }, extra: object = {}): string =>
  event('message_delta', { delta: { stop_reason: reason, stop_sequence: null, ...extra }, usage }) +
  event('message_stop')

export const said = (index: number, text: string) =>
  blockStart(index, { type: 'text', text: '' }) + blockDelta(index, 'text_delta', { text }) + blockStop(index)

export const toolStart = (index: number, id: string, name: string, input: object = {}) =>
  blockStart(index, { type: 'tool_use', id, name, input })

export const read = (...events: string[]) => decode(anthropicDecoder(), [new TextEncoder().encode(events.join(''))])

/** The choice that tells why an answer ended. */
export const endOf = (parts: readonly StreamPart[]) =>
  parts.flatMap(({ chunk }) => chunk.choices).find((choice) => choice.finish_reason)
