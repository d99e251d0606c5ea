import type { ChatChunk, ToolCallDelta } from '../../core/models.ts'
import { DIRECT, thought } from './answer.ts'
import { createBlockWriter } from './blocks.ts'
import { blockIdOf } from './ids.ts'

/** Turns OpenAI's chunks into the blocks of one message. */
export type ChunkWriter = {
  take(chunk: ChatChunk): string
  finish(): string
  hasTools(): boolean
  isRefused(): boolean
}

export function createChunkWriter(): ChunkWriter {
  const blocks = createBlockWriter()
  /** Thoughts that are whole; the next one is another block. */
  let thoughts = 0
  let isThinking = false
  let hasTools = false
  let isRefused = false

  const say = (text: string): string =>
    blocks.add({
      key: 'text',
      block: { type: 'text', text: '', citations: null },
      delta: { type: 'text_delta', text },
    })

  const thinking = (delta: { type: string; [field: string]: unknown }): string =>
    blocks.add({ key: `thinking ${thoughts}`, block: { type: 'thinking', thinking: '', signature: '' }, delta })

  const think = (text: string): string => {
    isThinking = true
    return thinking({ type: 'thinking_delta', thinking: text })
  }

  /** A whole thought: its text has come before, unless its vendor does not show any. */
  const conclude = (block: unknown): string => {
    const [whole] = typeof block === 'object' && block !== null ? thought({ ...block }) : []
    if (!whole) return ''
    let text = ''
    if (whole.type === 'redacted_thinking') text = blocks.add({ key: `thinking ${++thoughts}`, block: whole })
    else {
      if (!isThinking && whole.thinking !== '') text += think(String(whole.thinking))
      text += thinking({ type: 'signature_delta', signature: whole.signature })
    }
    thoughts += 1
    isThinking = false
    return text
  }

  const call = ({ index, id, function: called, extra_content: extra }: ToolCallDelta): string => {
    hasTools = true
    const json = called?.arguments
    return blocks.add({
      key: `tool ${index}`,
      isTool: true,
      block: {
        type: 'tool_use',
        id: blockIdOf(id ?? ''),
        name: called?.name ?? '',
        input: {},
        caller: DIRECT,
        ...(extra !== undefined && { extra_content: extra }),
      },
      delta: json ? { type: 'input_json_delta', partial_json: json } : undefined,
    })
  }

  const takeDelta = ({ content, refusal, reasoning_content: reason, ...delta }: ChatChunk['choices'][0]['delta']) => {
    let text = reason ? think(reason) : ''
    if (Array.isArray(delta.thinking_blocks)) text += delta.thinking_blocks.map(conclude).join('')
    if (content) text += say(content)
    if (refusal) {
      isRefused = true
      text += say(refusal)
    }
    if (delta.tool_calls) text += delta.tool_calls.map(call).join('')
    return text
  }

  return {
    // Several choices are never asked for.
    take: ({ choices }) => choices.map(({ index, delta }) => (index === 0 ? takeDelta(delta) : '')).join(''),
    finish: blocks.finish,
    hasTools: () => hasTools,
    isRefused: () => isRefused,
  }
}
