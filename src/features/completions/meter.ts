import type { ChatChunk, StreamPart, Usage } from '../../core/models.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { countsOf } from '../../core/usage.ts'

/** Counts what passes to the caller. The vendor's last cumulative usage wins over anything counted here. */
export type Meter = {
  take(part: StreamPart): void
  /** What the vendor said, last. */
  reported(): Usage | undefined
  /** Output tokens of what has been delivered, counted here. */
  delivered(): number
  /** A running count that is never far below the vendor's, for a hold that must not be outgrown. */
  running(): number
  /** Whether anything but roles and keep-alives has passed. */
  started(): boolean
}

/** With this many characters a chunk, a stream sends a token a chunk. */
const TOKEN_CHUNK_CHARS = { least: 2, most: 8 }

export function createMeter(): Meter {
  let usage: Usage | undefined
  let text = ''
  let chunks = 0

  return {
    take({ chunk }) {
      if (chunk.usage) usage = countsOf(chunk.usage)
      const piece = contentOf(chunk)
      if (piece === '') return
      text += piece
      chunks += 1
    },
    reported: () => usage,
    delivered() {
      if (chunks === 0) return 0
      const perChunk = text.length / chunks
      const tokenwise = perChunk >= TOKEN_CHUNK_CHARS.least && perChunk <= TOKEN_CHUNK_CHARS.most
      return tokenwise ? chunks : estimateTokens(text)
    },
    running: () => Math.max(chunks, Math.ceil(text.length / 2)),
    started: () => chunks > 0,
  }
}

/** Everything a model wrote in a chunk, over all choices: text, refusals, reasoning, tool arguments. */
function contentOf({ choices }: ChatChunk): string {
  let text = ''
  for (const { delta } of choices) {
    if (delta.content) text += delta.content
    const thought = delta.reasoning_content ?? delta.reasoning
    if (thought) text += thought
    if (delta.refusal) text += delta.refusal
    for (const call of delta.tool_calls ?? []) text += (call.function?.name ?? '') + (call.function?.arguments ?? '')
  }
  return text
}

/** Whether the caller would notice this part: content, or the end of a choice. */
export const isContent = ({ chunk }: StreamPart): boolean =>
  contentOf(chunk) !== '' || chunk.choices.some(({ finish_reason }) => Boolean(finish_reason))
