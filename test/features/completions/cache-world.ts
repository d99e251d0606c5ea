import { createMemory } from '../../../src/core/memory.ts'
import { type Sent, startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { learnDataKeys } from '../cache/world.ts'

export const hello = [{ role: 'user', content: 'Hi' }]
export const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }
/** In pieces that no replay makes. */
const pieces = ['He', 'llo', ' there.']

export const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o-2024-08-06',
  choices: [{ index: 0, message: { role: 'assistant', content: pieces.join('') }, finish_reason: 'stop' }],
  usage,
}
const message = {
  id: 'msg_theirs',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'Bonjour.' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 5, output_tokens: 4 },
}
const events = [
  { type: 'message_start', message: { ...message, content: [], usage: { input_tokens: 5, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Bonjour.' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 4 } },
  { type: 'message_stop' },
]

export const streamOf = (lines: readonly string[]) =>
  new Response(lines.map((line) => `${line}\n\n`).join(''), { headers: { 'content-type': 'text/event-stream' } })

export const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) =>
  `data: ${JSON.stringify({ ...completion, object: 'chat.completion.chunk', usage: null, choices: [{ index: 0, delta, finish_reason }], ...more })}`

const chunks = [
  chunk({ role: 'assistant', content: '' }),
  ...pieces.map((content) => chunk({ content })),
  chunk({}, 'stop'),
  chunk({}, null, { choices: [], usage }),
  'data: [DONE]',
]

/** Both vendors in their own wires. */
export function vendors({ to, body }: Sent): Response {
  if (to !== 'anthropic') return body.stream ? streamOf(chunks) : Response.json(completion)
  const told = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}`)
  return body.stream ? streamOf(told) : Response.json(message)
}

/** A gateway that knows the data key of its organisation. */
export async function start(options: TestGatewayOptions = {}) {
  const memory = createMemory()
  await learnDataKeys(memory, ['org_1'], Date.now())
  const given = { vendors: ['openai', 'anthropic'], upstream: vendors, ...options }
  const gateway = await startGateway({ ...given, deps: { memory, ...options.deps } })
  return { ...gateway, memory }
}

export type CachingGateway = TestGateway & { memory: ReturnType<typeof createMemory> }

export const exact = { cache: { mode: 'exact' } } as const

/** A call's body by the interface it is made of, and the text of an answer, told in any form. */
export const surfaces = {
  chat: {
    path: '/v1/chat/completions',
    body: { model: 'gpt-4o', messages: hello, helix: exact },
    textOf: (body: typeof completion) => body.choices[0]?.message.content,
    pieces: /"delta":\{[^}]*"content":"((?:[^"\\]|\\.)*)"/g,
  },
  text: {
    path: '/v1/completions',
    body: { model: 'gpt-4o', prompt: 'Hi', helix: exact },
    textOf: (body: { choices: { text: string }[] }) => body.choices[0]?.text,
    pieces: /"text":"((?:[^"\\]|\\.)*)"/g,
  },
  messages: {
    path: '/v1/messages',
    body: { model: 'gpt-4o', messages: hello, max_tokens: 50, helix: exact },
    textOf: (body: { content: { text: string }[] }) => body.content[0]?.text,
    pieces: /"type":"text_delta","text":"((?:[^"\\]|\\.)*)"/g,
  },
  responses: {
    path: '/v1/responses',
    body: { model: 'gpt-4o', input: 'Hi', store: false, helix: exact },
    textOf: (body: { output: { content: { text: string }[] }[] }) => body.output[0]?.content[0]?.text,
    pieces: /"type":"response.output_text.delta"[^\n]*?"delta":"((?:[^"\\]|\\.)*)"/g,
  },
} as const
export type Surface = keyof typeof surfaces

/** The text that an answer says, whole or streamed. */
export async function said(surface: Surface, response: Response): Promise<string> {
  const text = await response.text()
  const { textOf, pieces: pattern } = surfaces[surface]
  if (response.headers.get('content-type') === 'application/json') return String(textOf(JSON.parse(text)))
  return [...text.matchAll(pattern)].map(([, piece]) => JSON.parse(`"${piece}"`)).join('')
}
