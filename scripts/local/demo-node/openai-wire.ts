import type { Part, Summary, WholeAnswer, Wire } from './generate-stream.ts'
import type { ToolCall } from './types.ts'

type Identity = { id: string; model: string; createdAtSeconds: number; includeUsage: boolean }

function usage(summary: Summary) {
  return {
    prompt_tokens: summary.promptTokens,
    completion_tokens: summary.evalTokens,
    total_tokens: summary.promptTokens + summary.evalTokens,
  }
}

function event(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`
}

function toolCall(call: ToolCall) {
  const { index, name, arguments: values } = call.function
  return { id: call.id, index, type: 'function', function: { name, arguments: JSON.stringify(values) } }
}

function delta(part: Part) {
  return {
    role: 'assistant',
    content: part.content ?? '',
    ...(part.thinking === undefined ? {} : { reasoning: part.thinking }),
    ...(part.toolCall === undefined ? {} : { tool_calls: [toolCall(part.toolCall)] }),
  }
}

function wholeMessage(answer: WholeAnswer) {
  return {
    role: 'assistant',
    content: answer.content,
    ...(answer.thinking === '' ? {} : { reasoning: answer.thinking }),
    ...(answer.toolCalls.length === 0 ? {} : { tool_calls: answer.toolCalls.map(toolCall) }),
  }
}

/** `/v1/chat/completions`. */
export function chatCompletionWire(identity: Identity): Wire {
  const { id, model, createdAtSeconds, includeUsage } = identity
  const head = { id, created: createdAtSeconds, model, system_fingerprint: 'fp_ollama' }
  const chunk = (choices: unknown[], extra = {}) =>
    event({ ...head, object: 'chat.completion.chunk', choices, ...extra })
  const choice = (part: Part, finish: string | null) => [{ index: 0, delta: delta(part), finish_reason: finish }]
  return {
    streamType: 'text/event-stream',
    part: (part) => chunk(choice(part, null)),
    end: (summary, plan) => {
      const finish = plan.toolCalls.length > 0 ? 'tool_calls' : summary.doneReason
      const last = includeUsage ? chunk([], { usage: usage(summary) }) : ''
      return `${chunk(choice({}, finish))}${last}data: [DONE]\n\n`
    },
    // The real translation knows no error events: a failed stream shows an empty delta and never reaches [DONE].
    error: () => chunk(choice({}, null)),
    whole: (answer, summary) => ({
      ...head,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: wholeMessage(answer),
          finish_reason: answer.toolCalls.length > 0 ? 'tool_calls' : summary.doneReason,
        },
      ],
      usage: usage(summary),
    }),
  }
}

/** `/v1/completions`. */
export function completionWire(identity: Identity): Wire {
  const { id, model, createdAtSeconds, includeUsage } = identity
  const head = { id, object: 'text_completion', created: createdAtSeconds, model, system_fingerprint: 'fp_ollama' }
  const none = includeUsage ? { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } } : {}
  const choice = (text: string, finish: string | null) => [{ text, index: 0, finish_reason: finish }]
  return {
    streamType: 'text/event-stream',
    part: (part) => event({ ...head, choices: choice(part.content ?? '', null), ...none }),
    end: (summary) => {
      const last = includeUsage ? event({ ...head, choices: [], usage: usage(summary) }) : ''
      return `${event({ ...head, choices: choice('', summary.doneReason), ...none })}${last}data: [DONE]\n\n`
    },
    error: () => event({ ...head, choices: choice('', null), ...none }),
    whole: (answer, summary) => ({
      ...head,
      choices: choice(answer.content, summary.doneReason),
      usage: usage(summary),
    }),
  }
}
