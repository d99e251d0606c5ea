import { createAnthropic } from '../../../src/adapters/providers/anthropic.ts'
import { messagesRequest } from '../../../src/adapters/providers/anthropic-request.ts'
import { createAnthropicDecoder } from '../../../src/adapters/providers/anthropic-stream.ts'
import type { PartDecoder } from '../../../src/adapters/providers/chat-stream.ts'
import type { ChatBody, ChatCall, Provider } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import { callOf, timeouts } from './support.ts'

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
