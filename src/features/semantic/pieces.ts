import { estimateTokens } from '../../core/tokens.ts'
import { type ChunkOptions, chunkText } from './chunker.ts'

/** A chunk before anything is known of where it is kept. */
export type CutChunk = {
  content: string
  startOffset: number
  endOffset: number
  tokenCount: number
  metadata: Record<string, unknown>
}

type Metadata = Readonly<Record<string, unknown>>

/** The chunks of a text, each with the metadata of its source and the headings it stands under. */
export function cutChunks(text: string, options: ChunkOptions, metadata: Metadata): CutChunk[] {
  return chunkText(text, options).map(({ start, end, headings }) => {
    const content = text.slice(start, end)
    return {
      content,
      startOffset: start,
      endOffset: end,
      tokenCount: estimateTokens(content),
      metadata: { ...metadata, ...(headings.length > 0 && { heading_path: [...headings] }) },
    }
  })
}

/** Chunks that somebody has cut, as if one stood right behind the other. */
export function givenChunks(given: readonly { content: string; metadata: Metadata }[], metadata: Metadata): CutChunk[] {
  let at = 0
  return given.map(({ content, metadata: own }) => {
    const startOffset = at
    at += content.length
    return {
      content,
      startOffset,
      endOffset: at,
      tokenCount: estimateTokens(content),
      metadata: { ...metadata, ...own },
    }
  })
}

/** What was cut: the chunks in their order, without what one has of the one before. */
export function textOf(chunks: readonly Pick<CutChunk, 'content' | 'startOffset' | 'endOffset'>[]): string {
  let done = chunks[0]?.startOffset ?? 0
  let text = ''
  for (const { content, startOffset, endOffset } of chunks) {
    text += content.slice(done - startOffset)
    done = endOffset
  }
  return text
}
