import type OpenAI from 'openai'
import type { World } from './world.ts'

export type Message = OpenAI.ChatCompletionMessageParam

export const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: 'function',
    function: { name: 'look', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
]

const PLACEHOLDER = 'skip_thought_signature_validator'
const call = { name: 'look', input: { city: 'Paris "é" 雨' } }

/** Models that sign, each with the words that make its vendor think and call two tools at a time. */
export const signers = [
  {
    name: 'Claude, thinking as it sees fit',
    model: 'anthropic/claude-sonnet-4-6',
    asking: (steps: number) =>
      `fake:${JSON.stringify({ loop: steps, think: 'Hm. "é"', redact: true, calls: [call, call] })}`,
    vendor: ({ claude }: World) => claude,
    /** How many messages of the last request are signed. */
    signed: ({ claude }: World) => signedByClaude(claude.lastBody()),
    isThinking: ({ claude }: World) => JSON.stringify(claude.lastBody()).includes('"adaptive"'),
    signsTexts: false,
  },
  {
    name: 'Claude, thinking within a budget',
    model: 'anthropic/claude-haiku-4-5',
    asking: (steps: number) => `fake:${JSON.stringify({ loop: steps, think: 'Hm.', calls: [call, call] })}`,
    vendor: ({ claude }: World) => claude,
    signed: ({ claude }: World) => signedByClaude(claude.lastBody()),
    isThinking: ({ claude }: World) => JSON.stringify(claude.lastBody()).includes('"budget_tokens"'),
    signsTexts: false,
  },
  {
    name: 'Gemini',
    model: 'gemini/gemini-3-flash-preview',
    asking: (steps: number) => `fake:loop=${steps},parallel=2,think`,
    vendor: ({ gemini }: World) => gemini,
    signed: ({ gemini }: World) => signedByGemini(gemini.lastBody()),
    isThinking: ({ gemini }: World) => JSON.stringify(gemini.lastBody()).includes('"thinkingConfig"'),
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

export type Step = { client: OpenAI; stream: boolean; model: string; messages: readonly Message[] }

/** One step, whole or streamed. */
export async function ask({ client, stream, model, messages }: Step): Promise<OpenAI.ChatCompletionMessage> {
  const body = { model, messages: [...messages], tools, reasoning_effort: 'high' as const, max_completion_tokens: 4000 }
  const completion = stream
    ? await client.chat.completions.stream(body).finalChatCompletion()
    : await client.chat.completions.create(body)
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
