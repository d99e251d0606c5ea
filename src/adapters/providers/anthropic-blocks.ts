import type { ToolCallDelta } from '../../core/models.ts'
import { annotationsOf, inputText, signedThought, toolCallOf } from './anthropic-answer.ts'
import type { Expected } from './anthropic-request.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** What a chunk says, without its role. */
export type Delta = JsonObject & { tool_calls?: ToolCallDelta[] }

/** The blocks of a streamed message. Each method gives what there is to say; undefined is nothing. */
export type BlockReader = {
  start(index: unknown, block: unknown): Delta | undefined
  delta(index: unknown, delta: unknown): Delta | undefined
  stop(index: unknown): Delta | undefined
  /** Ends blocks that the vendor left open. */
  stopAll(): Delta[]
}

type Open = {
  block: JsonObject
  /** Of a tool: its place among the calls. */
  call: number
  /** Of a tool: the JSON of its input so far. */
  input: string
  thinking: string
  signature: string
  citations: JsonObject[]
  /** Length of the message's text where the block began. */
  start: number
}

/**
 * Follows the blocks of one message. Calls are numbered as they appear, whatever the numbers of their blocks. The
 * input of a custom tool is text inside of JSON, so it is told whole, at its end.
 */
export function createBlockReader(expected: Expected): BlockReader {
  const open = new Map<unknown, Open>()
  let calls = 0
  let textLength = 0

  function start(index: unknown, given: unknown): Delta | undefined {
    const block = isObject(given) ? given : {}
    const isCall = block.type === 'tool_use'
    const opened: Open = {
      block,
      call: isCall ? calls++ : -1,
      input: '',
      thinking: stringOf(block.thinking) ?? '',
      signature: stringOf(block.signature) ?? '',
      citations: objectsOf(block.citations),
      start: textLength,
    }
    open.set(index, opened)
    if (isCall) return isCustom(block) ? undefined : { tool_calls: [{ index: opened.call, ...callOf(block, '') }] }
    if (block.type === 'text') return said(stringOf(block.text))
    return opened.thinking === '' ? undefined : { reasoning_content: opened.thinking }
  }

  const isCustom = ({ name }: JsonObject) => expected.customTools.has(stringOf(name) ?? '')
  const callOf = (block: JsonObject, text: string) => toolCallOf(block, text, expected)

  function said(text: string | undefined): Delta | undefined {
    if (!text) return undefined
    textLength += text.length
    return { content: text }
  }

  function delta(index: unknown, given: unknown): Delta | undefined {
    if (!isObject(given)) return undefined
    const block = open.get(index)
    switch (given.type) {
      case 'text_delta':
        return said(stringOf(given.text))
      case 'input_json_delta':
        return block === undefined ? undefined : moreInput(block, stringOf(given.partial_json) ?? '')
      case 'thinking_delta':
        return moreThinking(block, stringOf(given.thinking) ?? '')
      case 'signature_delta':
        if (block !== undefined) block.signature += stringOf(given.signature) ?? ''
        return undefined
      case 'citations_delta':
        if (isObject(given.citation)) block?.citations.push(given.citation)
        return undefined
      default:
        return undefined
    }
  }

  function moreInput(opened: Open, text: string): Delta | undefined {
    // Inputs of the vendor's own tools come this way too.
    if (opened.call < 0 || text === '') return undefined
    opened.input += text
    return isCustom(opened.block) ? undefined : { tool_calls: [{ index: opened.call, function: { arguments: text } }] }
  }

  function moreThinking(opened: Open | undefined, text: string): Delta | undefined {
    if (opened !== undefined) opened.thinking += text
    return text === '' ? undefined : { reasoning_content: text }
  }

  function stop(index: unknown): Delta | undefined {
    const opened = open.get(index)
    open.delete(index)
    if (opened === undefined) return undefined
    const { block, call, citations, thinking, signature } = opened
    if (call >= 0) return endOfCall(opened)
    const annotations = annotationsOf(citations, { start: opened.start, end: textLength })
    if (annotations.length > 0) return { annotations }
    const thought = signedThought({ ...block, thinking, signature })
    return thought === undefined ? undefined : { thinking_blocks: [thought] }
  }

  /** A tool without arguments has no piece of input at all, or has it in its first event. */
  function endOfCall({ block, call, input }: Open): Delta | undefined {
    const whole = input === '' ? inputText(block) : input
    if (isCustom(block)) return { tool_calls: [{ index: call, ...callOf(block, whole) }] }
    return input === '' ? { tool_calls: [{ index: call, function: { arguments: whole } }] } : undefined
  }

  const stopAll = () => [...open.keys()].map(stop).filter((said) => said !== undefined)

  return { start, delta, stop, stopAll }
}
