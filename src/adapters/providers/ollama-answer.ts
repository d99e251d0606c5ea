import type { ChatCompletion, WireUsage } from '../../core/models.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsText, newCallId } from './openai-message.ts'

export type OllamaToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } }

/** A node's tool calls in OpenAI's shape, with an id each: older servers give none. */
export function toolCallsOf(message: JsonObject): OllamaToolCall[] {
  return objectsOf(message.tool_calls).flatMap((call) => {
    if (!isObject(call.function)) return []
    const args = argumentsText(call.function.arguments)
    return [
      {
        id: stringOf(call.id) || newCallId(),
        type: 'function',
        function: { name: stringOf(call.function.name) ?? '', arguments: args === '' ? '{}' : args },
      },
    ]
  })
}

/** A node says `stop` even after tool calls, and `load` or `unload` when it was asked for nothing. */
export function finishReasonOf(line: JsonObject, calledTools: boolean): string {
  if (calledTools) return 'tool_calls'
  return line.done_reason === 'length' ? 'length' : 'stop'
}

/** Undefined when the node did not count the prompt, as for one that was wholly cached: half a count is none. */
export function usageOf(line: JsonObject): WireUsage | undefined {
  const prompt = countOf(line.prompt_eval_count)
  if (prompt === undefined) return undefined
  const completion = countOf(line.eval_count) ?? 0
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}

/** OpenAI's `logprobs` of a choice; undefined when the line has none. */
export function logprobsOf(line: JsonObject): JsonObject | undefined {
  const content = objectsOf(line.logprobs).map((entry) => ({
    ...tokenOf(entry),
    top_logprobs: objectsOf(entry.top_logprobs).map(tokenOf),
  }))
  return content.length === 0 ? undefined : { content, refusal: null }
}

function tokenOf(entry: JsonObject): JsonObject {
  const token = stringOf(entry.token) ?? ''
  const bytes = Array.isArray(entry.bytes) ? entry.bytes : [...new TextEncoder().encode(token)]
  return { token, logprob: entry.logprob, bytes }
}

/** The answer to a request that was not streamed. */
export function ollamaCompletion(line: JsonObject, identity: { id: string; model: string }): ChatCompletion {
  const message = isObject(line.message) ? line.message : {}
  const toolCalls = toolCallsOf(message)
  const thinking = stringOf(message.thinking)
  const text = stringOf(message.content) ?? ''
  return {
    id: identity.id,
    object: 'chat.completion',
    created: createdOf(line),
    model: stringOf(line.model) || identity.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' && toolCalls.length > 0 ? null : text,
          ...(thinking ? { reasoning_content: thinking } : {}),
          ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}),
        },
        logprobs: logprobsOf(line) ?? null,
        finish_reason: finishReasonOf(line, toolCalls.length > 0),
      },
    ],
    usage: usageOf(line) ?? null,
  }
}

/** Unix seconds. */
export function createdOf(line: JsonObject): number {
  const told = Date.parse(stringOf(line.created_at) ?? '')
  return Math.floor((Number.isNaN(told) ? Date.now() : told) / 1000)
}
