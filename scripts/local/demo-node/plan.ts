import { composeAnswer, composeThinking, demoMark } from './answer.ts'
import type { ModelSpec } from './catalog.ts'
import { httpFailure } from './failures.ts'
import { type Media, sniffMedia } from './media.ts'
import type { GenerationOptions } from './options.ts'
import { countTokens, cutAtStop, splitPieces } from './pieces.ts'
import { valueForSchema } from './schema-value.ts'
import { callId, chooseToolCalls } from './tool-choice.ts'
import {
  type ChatMessage,
  isJsonObject,
  type ScriptedReply,
  type ThinkLevel,
  type ToolCall,
  type ToolSpec,
} from './types.ts'

export type GenerationInput = {
  model: ModelSpec
  messages: readonly ChatMessage[]
  tools: readonly ToolSpec[]
  /** `undefined`, `"json"` or a schema object; anything else is refused. */
  format: unknown
  think: ThinkLevel | undefined
  options: GenerationOptions
  truncate: boolean
  /** Makes tool call ids unique. */
  sequence: number
}

/** What will be sent. Every entry of `thinking` and `content` and every tool call is one token. */
export type GenerationPlan = {
  thinking: readonly string[]
  content: readonly string[]
  toolCalls: readonly ToolCall[]
  doneReason: 'stop' | 'length'
  promptTokens: number
}

const tokensPerMessage = 4
const tokensPerImage = 256

function promptTokens(input: GenerationInput): number {
  let total = input.tools.length > 0 ? countTokens(JSON.stringify(input.tools)) : 0
  for (const message of input.messages) {
    total += tokensPerMessage + countTokens(message.content) + message.images.length * tokensPerImage
    if (message.toolCalls.length > 0) total += countTokens(JSON.stringify(message.toolCalls))
  }
  const { contextLength } = input.options
  if (total > contextLength && !input.truncate) {
    throw httpFailure(400, 'the input length exceeds the context length')
  }
  return Math.min(total, contextLength)
}

/** The attachments of the last message that has any; refused when the model has no eye or ear for them. */
function readMedia(input: GenerationInput): Media[] {
  const media: Media[] = []
  const { capabilities } = input.model
  for (const bytes of input.messages.findLast((message) => message.images.length > 0)?.images ?? []) {
    const found = sniffMedia(bytes)
    if (found === undefined && (capabilities.includes('vision') || capabilities.includes('audio'))) {
      throw httpFailure(400, 'Failed to load image or audio file')
    }
    const wanted = found !== undefined && !('width' in found) ? 'audio' : 'vision'
    if (found === undefined || !capabilities.includes(wanted)) {
      throw httpFailure(500, `this model is missing data required for ${wanted === 'audio' ? 'audio' : 'image'} input`)
    }
    media.push(found)
  }
  return media
}

function structuredText(format: unknown, question: string): string | undefined {
  if (format === undefined || format === null || format === '') return undefined
  if (format === 'json') return JSON.stringify({ demo_node: true, answer: `${demoMark} ${question.slice(0, 160)}` })
  if (!isJsonObject(format)) {
    const shown = JSON.stringify(JSON.stringify(format))
    throw httpFailure(500, `invalid format: ${shown}; expected "json" or a valid JSON Schema object`)
  }
  try {
    return JSON.stringify(valueForSchema(format, { text: (key) => `${demoMark} ${key}` }))
  } catch {
    throw httpFailure(400, 'Failed to initialize samplers: failed to parse grammar')
  }
}

type Draft = { thinking: string[]; content: string; toolCalls: ToolCall[] }

function draftAnswer(input: GenerationInput): Draft {
  const media = readMedia(input)
  const last = input.messages.at(-1)
  const question = input.messages.findLast((message) => message.role === 'user')?.content ?? ''
  const thinking = input.think === undefined ? [] : splitPieces(composeThinking(input.think))
  const structured = structuredText(input.format, question)
  if (structured !== undefined) return { thinking, content: structured, toolCalls: [] }
  const toolCalls = last?.role === 'user' ? chooseToolCalls(question, input.tools, input.sequence) : []
  const content = toolCalls.length > 0 ? '' : composeAnswer(input.model.name, input.messages, media)
  return { thinking, content, toolCalls }
}

/** Applies `num_predict` over everything that counts as a token. */
function limit(plan: GenerationPlan, numPredict: number | undefined): GenerationPlan {
  const total = plan.thinking.length + plan.content.length + plan.toolCalls.length
  if (numPredict === undefined || total <= numPredict) return plan
  const thinking = plan.thinking.slice(0, numPredict)
  const content = plan.content.slice(0, numPredict - thinking.length)
  const toolCalls = plan.toolCalls.slice(0, numPredict - thinking.length - content.length)
  return { ...plan, thinking, content, toolCalls, doneReason: 'length' }
}

/**
 * Decides the whole answer before anything is sent.
 *
 * @throws HttpFailure for input that the real server refuses before its first byte.
 */
export function planGeneration(input: GenerationInput, script: ScriptedReply | undefined): GenerationPlan {
  const tokens = promptTokens(input)
  const scripted = script?.pieces !== undefined || script?.toolCalls !== undefined
  const draft = scripted ? { thinking: [], content: '', toolCalls: [] } : draftAnswer(input)
  const content = script?.pieces ?? splitPieces(cutAtStop(draft.content, input.options.stop))
  const calls = script?.toolCalls?.map((call, index) => ({
    id: call.id ?? callId(input.sequence, index),
    function: { index, name: call.name, arguments: call.arguments },
  }))
  const plan: GenerationPlan = {
    thinking: script?.thinking ?? draft.thinking,
    content,
    toolCalls: calls ?? draft.toolCalls,
    doneReason: script?.doneReason ?? 'stop',
    promptTokens: tokens,
  }
  return limit(plan, input.options.numPredict)
}
