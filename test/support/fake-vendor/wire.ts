import type { Answer, Choice, Piece } from './answer.ts'

export type Endpoint = 'chat' | 'completions'
export type Frame = {
  endpoint: Endpoint
  id: string
  model: string
  /** Tokens that the vendor says it counted; undefined where it says nothing. */
  usage: { prompt: number; completion: number } | undefined
  /** The client asked for usage in the stream, so every chunk has the field. */
  withUsageField: boolean
}

/** One time of birth for all answers keeps equal answers equal, byte for byte. */
const createdSeconds = Math.floor(Date.now() / 1000)
const fingerprint = 'fp_fake0000'

const usageJson = ({ prompt, completion }: { prompt: number; completion: number }) =>
  JSON.stringify({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  })

const callBody = (type: 'function' | 'custom', name: string, input: string) =>
  type === 'function' ? { type, function: { name, arguments: input } } : { type, custom: { name, input } }

function messageOf({ text, calls }: Choice) {
  if (calls.length === 0) return { role: 'assistant', content: text, refusal: null, annotations: [] }
  const called = calls.map(({ id, type, name, input }) => ({ id, ...callBody(type, name, input) }))
  return { role: 'assistant', content: null, refusal: null, tool_calls: called, annotations: [] }
}

/** The whole answer as one JSON text. */
export function wholeBody(answer: Answer, frame: Frame): string {
  const isChat = frame.endpoint === 'chat'
  return JSON.stringify({
    id: frame.id,
    object: isChat ? 'chat.completion' : 'text_completion',
    created: createdSeconds,
    model: frame.model,
    choices: answer.choices.map((choice, index) => ({
      index,
      ...(isChat ? { message: messageOf(choice) } : { text: choice.text }),
      logprobs: null,
      finish_reason: choice.finish,
    })),
    ...(frame.usage ? { usage: JSON.parse(usageJson(frame.usage)) } : {}),
    ...(isChat ? { service_tier: 'default' } : {}),
    system_fingerprint: fingerprint,
  })
}

function deltaOf({ text, call, opens }: Piece, types: readonly ('function' | 'custom')[]): object {
  if (call === undefined) return { content: text }
  if (opens) return { tool_calls: [{ index: call, id: opens.id, ...callBody(opens.type, opens.name, '') }] }
  const part = types[call] === 'custom' ? { custom: { input: text } } : { function: { arguments: text } }
  return { tool_calls: [{ index: call, ...part }] }
}

/** The stream of an answer as `data:` events: `head` opens the choices, then one event a piece, then `tail`. */
export type EventList = { head: string; pieces: readonly string[]; tail: string }

export function eventsOf(answer: Answer, frame: Frame): EventList {
  const isChat = frame.endpoint === 'chat'
  const object = isChat ? 'chat.completion.chunk' : 'text_completion'
  const opening = `data: {"id":"${frame.id}","object":"${object}","created":${createdSeconds},"model":${JSON.stringify(frame.model)},${isChat ? '"service_tier":"default",' : ''}"system_fingerprint":"${fingerprint}","choices":[`
  const closing = `]${frame.withUsageField ? ',"usage":null' : ''}}\n\n`
  const event = (index: number, content: object | string, finish: string | null) => {
    const body = isChat ? `"delta":${JSON.stringify(content)}` : `"text":${JSON.stringify(content)}`
    return `${opening}{"index":${index},${body},"logprobs":null,"finish_reason":${finish ? `"${finish}"` : 'null'}}${closing}`
  }
  const first = { role: 'assistant', content: answer.choices[0]?.calls.length ? null : '', refusal: null }
  const types = answer.choices[0]?.calls.map(({ type }) => type) ?? []
  const usage = frame.usage && frame.withUsageField ? `${opening}],"usage":${usageJson(frame.usage)}}\n\n` : ''
  return {
    head: isChat ? answer.choices.map((_choice, index) => event(index, first, null)).join('') : '',
    pieces: answer.pieces.map((piece) => event(piece.choice, isChat ? deltaOf(piece, types) : piece.text, null)),
    tail: `${answer.choices.map(({ finish }, index) => event(index, isChat ? {} : '', finish)).join('')}${usage}data: [DONE]\n\n`,
  }
}
