import type OpenAI from 'openai'
import type { Kit } from '../../stack/sdk-kits.ts'
import type { FakeAnthropic } from '../../support/fake-vendor/anthropic.ts'
import type { FakeGemini } from '../../support/fake-vendor/gemini.ts'

export type Message = OpenAI.ChatCompletionMessageParam

export const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: 'function',
    function: { name: 'look', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
]

type Vendors = { claude: FakeAnthropic; gemini: FakeGemini }

const PLACEHOLDER = 'skip_thought_signature_validator'
const call = { name: 'look', input: { city: 'Paris "é" 雨' } }

/** Models that sign, each with the words that make its vendor think and call two tools at a time. */
export const signers = [
  {
    name: 'Claude, thinking as it sees fit',
    model: 'anthropic/claude-sonnet-4-6',
    asking: (steps: number) =>
      `fake:${JSON.stringify({ loop: steps, think: 'Hm. "é"', redact: true, calls: [call, call] })}`,
    vendor: ({ claude }: Vendors) => claude,
    /** How many messages of the last request are signed. */
    signed: ({ claude }: Vendors) => signedByClaude(claude.lastBody()),
    isThinking: ({ claude }: Vendors) => JSON.stringify(claude.lastBody()).includes('"adaptive"'),
    signsTexts: false,
  },
  {
    name: 'Claude, thinking within a budget',
    model: 'anthropic/claude-haiku-4-5',
    asking: (steps: number) => `fake:${JSON.stringify({ loop: steps, think: 'Hm.', calls: [call, call] })}`,
    vendor: ({ claude }: Vendors) => claude,
    signed: ({ claude }: Vendors) => signedByClaude(claude.lastBody()),
    isThinking: ({ claude }: Vendors) => JSON.stringify(claude.lastBody()).includes('"budget_tokens"'),
    signsTexts: false,
  },
  {
    name: 'Gemini',
    model: 'gemini/gemini-3-flash-preview',
    asking: (steps: number) => `fake:loop=${steps},parallel=2,think`,
    vendor: ({ gemini }: Vendors) => gemini,
    signed: ({ gemini }: Vendors) => signedByGemini(gemini.lastBody()),
    isThinking: ({ gemini }: Vendors) => JSON.stringify(gemini.lastBody()).includes('"thinkingConfig"'),
    signsTexts: true,
  },
] as const

export type Signer = (typeof signers)[number]

const signedByClaude = (body: unknown): number => {
  const { messages } = body as { messages: { role: string; content: { type: string; signature?: string }[] }[] }
  const heads = messages.filter(({ role }) => role === 'assistant').map(({ content }) => content[0])
  return heads.filter((head) => head?.type === 'thinking' && head.signature).length
}

const signedByGemini = (body: unknown): number => {
  const { contents } = body as { contents: { role: string; parts: { thoughtSignature?: string }[] }[] }
  const signatures = contents.flatMap(({ parts }) => parts.flatMap(({ thoughtSignature }) => thoughtSignature ?? []))
  return signatures.filter((signature) => signature !== PLACEHOLDER).length
}

/** What a client keeps of a message that knows OpenAI's wire and nothing else; `parses` for one that reads arguments. */
export const plain = ({ content, tool_calls: calls }: OpenAI.ChatCompletionMessage, parses = false): Message => ({
  role: 'assistant',
  content,
  ...(calls && {
    tool_calls: calls.flatMap((made) => {
      if (made.type !== 'function') return []
      const { name, arguments: written } = made.function
      const again = parses ? JSON.stringify(JSON.parse(written), undefined, 1) : written
      return [{ id: made.id, type: 'function' as const, function: { name, arguments: again } }]
    }),
  }),
})

/** `kit` for another line of the client than the newest. */
export type Step = {
  client: OpenAI
  kit?: Pick<Kit, 'stream'>
  stream: boolean
  model: string
  messages: readonly Message[]
}

/** One step, whole or streamed. */
export async function ask({ client, kit, stream, model, messages }: Step): Promise<OpenAI.ChatCompletionMessage> {
  const body = { model, messages: [...messages], tools, reasoning_effort: 'high' as const, max_completion_tokens: 4000 }
  const streaming = () => (kit ? kit.stream(client, body) : client.chat.completions.stream(body))
  const completion = stream ? await streaming().finalChatCompletion() : await client.chat.completions.create(body)
  const message = completion.choices[0]?.message
  if (!message) throw new Error('no message')
  return message
}

/** The history with a message and the results of its calls. */
export const withResults = (
  history: readonly Message[],
  message: OpenAI.ChatCompletionMessage,
  parses = false,
): Message[] => [
  ...history,
  plain(message, parses),
  ...(message.tool_calls ?? []).map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: 'Seen.' })),
]
