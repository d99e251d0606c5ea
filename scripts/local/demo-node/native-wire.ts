import type { Part, Summary, WholeAnswer, Wire } from './generate-stream.ts'
import { logprobsOf } from './logprobs.ts'
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

/** How many likely tokens with each token's log probability; undefined where none was asked for. */
export type TopLogprobs = number | undefined

function logprobs(top: TopLogprobs, tokens: readonly string[]) {
  return top === undefined || tokens.length === 0 ? {} : { logprobs: logprobsOf(tokens, top) }
}

const tokensOf = (part: Part): string[] => (part.content === undefined ? [] : [part.content])

/** `/api/chat`. */
export function chatWire(model: string, nowMs: () => number, top: TopLogprobs): Wire {
  const head = () => ({ model, created_at: goTime(nowMs()) })
  return {
    streamType: 'application/x-ndjson',
    part: (part) => line({ ...head(), message: chatMessage(part), done: false, ...logprobs(top, tokensOf(part)) }),
    end: (summary) => line({ ...head(), message: chatMessage({}), ...metrics(summary) }),
    error: (message) => line({ error: message }),
    whole: (answer, summary) => ({
      ...head(),
      message: wholeMessage(answer),
      ...metrics(summary),
      ...logprobs(top, answer.pieces),
    }),
  }
}

type Generated = {
  model: string
  /** Undefined in raw mode, where no context is returned. */
  prompt: string | undefined
  top: TopLogprobs
}

/** `/api/generate`. */
export function generateWire({ model, prompt, top }: Generated, nowMs: () => number): Wire {
  const head = () => ({ model, created_at: goTime(nowMs()) })
  const context = (text: string) => (prompt === undefined ? {} : { context: tokenIds(prompt + text) })
  const thinking = (text: string | undefined) => (text ? { thinking: text } : {})
  return {
    streamType: 'application/x-ndjson',
    part: (part) => {
      const said = { response: part.content ?? '', ...thinking(part.thinking) }
      return line({ ...head(), ...said, done: false, ...logprobs(top, tokensOf(part)) })
    },
    end: (summary, plan) => line({ ...head(), response: '', ...metrics(summary), ...context(plan.content.join('')) }),
    error: (message) => line({ error: message }),
    whole: (answer, summary) => ({
      ...head(),
      response: answer.content,
      ...thinking(answer.thinking),
      ...metrics(summary),
      ...context(answer.content),
      ...logprobs(top, answer.pieces),
    }),
  }
}
