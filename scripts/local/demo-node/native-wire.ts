import type { Part, Summary, WholeAnswer, Wire } from './generate-stream.ts'
import { tokenIds } from './pieces.ts'

/** RFC 3339 with nanoseconds, as Go prints times. */
export function goTime(atMs: number): string {
  return new Date(atMs).toISOString().replace('Z', '000000Z')
}

function metrics(summary: Summary) {
  return {
    done: true,
    done_reason: summary.doneReason,
    total_duration: summary.totalNs,
    load_duration: summary.loadNs,
    prompt_eval_count: summary.promptTokens,
    prompt_eval_duration: summary.promptNs,
    eval_count: summary.evalTokens,
    eval_duration: summary.evalNs,
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

function chatMessage(part: Part) {
  return {
    role: 'assistant',
    content: part.content ?? '',
    ...(part.thinking === undefined ? {} : { thinking: part.thinking }),
    ...(part.toolCall === undefined ? {} : { tool_calls: [part.toolCall] }),
  }
}

function wholeMessage(answer: WholeAnswer) {
  return {
    role: 'assistant',
    content: answer.content,
    ...(answer.thinking === '' ? {} : { thinking: answer.thinking }),
    ...(answer.toolCalls.length === 0 ? {} : { tool_calls: answer.toolCalls }),
  }
}

/** `/api/chat`. */
export function chatWire(model: string, nowMs: () => number): Wire {
  const head = () => ({ model, created_at: goTime(nowMs()) })
  return {
    streamType: 'application/x-ndjson',
    part: (part) => line({ ...head(), message: chatMessage(part), done: false }),
    end: (summary) => line({ ...head(), message: chatMessage({}), ...metrics(summary) }),
    error: (message) => line({ error: message }),
    whole: (answer, summary) => ({ ...head(), message: wholeMessage(answer), ...metrics(summary) }),
  }
}

/** `/api/generate`; `prompt` is undefined in raw mode, where no context is returned. */
export function generateWire(model: string, prompt: string | undefined, nowMs: () => number): Wire {
  const head = () => ({ model, created_at: goTime(nowMs()) })
  const context = (text: string) => (prompt === undefined ? {} : { context: tokenIds(prompt + text) })
  const thinking = (text: string | undefined) => (text ? { thinking: text } : {})
  return {
    streamType: 'application/x-ndjson',
    part: (part) => line({ ...head(), response: part.content ?? '', ...thinking(part.thinking), done: false }),
    end: (summary, plan) => line({ ...head(), response: '', ...metrics(summary), ...context(plan.content.join('')) }),
    error: (message) => line({ error: message }),
    whole: (answer, summary) => ({
      ...head(),
      response: answer.content,
      ...thinking(answer.thinking),
      ...metrics(summary),
      ...context(answer.content),
    }),
  }
}
