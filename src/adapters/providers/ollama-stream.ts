import { type ChatChunk, type ChunkChoice, type StreamPart, UpstreamError } from '../../core/models.ts'
import type { PartDecoder } from './chat-stream.ts'
import { isObject, type JsonObject, parseJson, stringOf } from './json-shape.ts'
import { createLineReader } from './ndjson.ts'
import { createdOf, finishReasonOf, logprobsOf, toolCallsOf, usageOf } from './ollama-answer.ts'
import { newCompletionId } from './openai-message.ts'
import { type ErrorSource, reportedError } from './upstream-http.ts'

type Source = {
  upstream: ErrorSource
  /** The model to name when the node names none. */
  model: string
}

/** Reads a node's lines as OpenAI's chunks. The clean end is a line with `done: true` and nothing else. */
export function createOllamaDecoder({ upstream, model }: Source): PartDecoder {
  const lines = createLineReader()
  let head: { id: string; object: 'chat.completion.chunk'; created: number; model: string } | undefined
  let toolCalls = 0

  function readLine(text: string, parts: StreamPart[]): boolean {
    const line = parseJson(text)
    if (!isObject(line)) throw new UpstreamError('garbage', `${upstream.name} sent a line that is not a JSON object.`)
    const failure = reportedError(upstream, line)
    if (failure !== undefined) throw failure
    if (!isObject(line.message) && line.done !== true) {
      throw new UpstreamError('garbage', `${upstream.name} sent a line that is not part of a chat.`)
    }
    const first = head === undefined
    head ??= {
      id: newCompletionId(),
      object: 'chat.completion.chunk',
      created: createdOf(line),
      model: stringOf(line.model) || model,
    }
    const delta = deltaOf(isObject(line.message) ? line.message : {}, first)
    const logprobs = logprobsOf(line)
    if (Object.keys(delta).length > 0) emit(parts, [choiceOf(delta, null, logprobs)])
    if (line.done !== true) return false
    emit(parts, [choiceOf({}, finishReasonOf(line, toolCalls > 0))])
    const usage = usageOf(line)
    if (usage !== undefined) emit(parts, [], { usage })
    return true
  }

  function deltaOf(message: JsonObject, first: boolean): ChunkChoice['delta'] {
    const delta: ChunkChoice['delta'] = first ? { role: 'assistant', content: '' } : {}
    const thinking = stringOf(message.thinking)
    if (thinking) delta.reasoning_content = thinking
    const content = stringOf(message.content)
    if (content) delta.content = content
    const calls = toolCallsOf(message)
    if (calls.length > 0) delta.tool_calls = calls.map((call) => ({ index: toolCalls++, ...call }))
    return delta
  }

  function emit(parts: StreamPart[], choices: ChunkChoice[], extra: Pick<ChatChunk, 'usage'> = {}): void {
    const chunk: ChatChunk = { ...head, choices, ...extra }
    parts.push({ chunk, json: JSON.stringify(chunk) })
  }

  function push(bytes: Uint8Array, parts: StreamPart[]): boolean {
    for (const line of lines.push(bytes)) if (readLine(line, parts)) return true
    return false
  }

  function end(parts: StreamPart[]): void {
    const rest = lines.end()
    if (rest !== undefined && parseJson(rest) !== undefined && readLine(rest, parts)) return
    throw new UpstreamError('cut', `${upstream.name} ended its stream before its answer was complete.`)
  }

  return { push, end }
}

function choiceOf(delta: ChunkChoice['delta'], finishReason: string | null, logprobs?: JsonObject): ChunkChoice {
  return { index: 0, delta, ...(logprobs === undefined ? {} : { logprobs }), finish_reason: finishReason }
}
