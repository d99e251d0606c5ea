import type { Events } from './events.ts'
import { outputItemId } from './ids.ts'
import {
  callWriter,
  type ItemStatus,
  type ItemWriter,
  messageWriter,
  reasoningWriter,
  type SealThoughts,
} from './item-writers.ts'
import type { CallPiece, Piece } from './pieces.ts'
import type { Fields } from './response.ts'

/** Puts the items of a response together. */
export type Output = {
  take(piece: Piece): void
  /** Writes what has waited and closes what is open, which has the status. */
  finish(status: ItemStatus): void
  /** Resolves when no item waits for anything. */
  settled(): Promise<unknown>
  items(): readonly Fields[]
  /** The same with what only a vendor may see, for a store. */
  keptItems(): readonly Fields[]
}

type Options = {
  responseId: string
  events: Events
  /** Where the caller keeps thoughts: how they are sealed. */
  seal: SealThoughts | undefined
}

type Open = { key: string; writer: ItemWriter }

const KIND_OF: Readonly<Record<string, string>> = { reasoning: 'reasoning', message: 'message' }

/**
 * Writes items one behind the other, whatever the order of their pieces. An item ends when another begins; only a call
 * whose input is not whole yet keeps the others waiting.
 */
export function createOutput({ responseId, events, seal }: Options): Output {
  const items: ItemWriter['item'][] = []
  const thoughts = new Map<Fields, readonly Fields[]>()
  const waiting = new Map<string, Piece[]>()
  /** Calls that are closed: whatever still comes of them is no part of their input. */
  const closed = new Set<string>()
  const coming: Promise<unknown>[] = []
  let open: Open | undefined

  const close = (status: ItemStatus): void => {
    if (!open) return
    if (!KIND_OF[open.key]) closed.add(open.key)
    const waited = open.writer.close(status)
    if (waited) coming.push(waited)
    open = undefined
  }

  const writerOf = (piece: Piece): ItemWriter => {
    const position = items.length
    const place = (kind: string) => ({ id: outputItemId({ responseId, kind, position }), position, events })
    if (piece.kind === 'call') return callWriter(place(kindOf(piece)), piece)
    if (piece.key === 'message') return messageWriter(place('message'))
    const writer = reasoningWriter(place('reasoning'), seal)
    thoughts.set(writer.item, writer.thoughts)
    return writer
  }

  const begin = (key: string, [first, ...rest]: readonly Piece[], status: ItemStatus): void => {
    if (!first) return
    close(status)
    const writer = writerOf(first)
    items.push(writer.item)
    open = { key, writer }
    for (const piece of [first, ...rest]) writer.write(piece)
  }

  /** Writes what waits, as far as what comes before it is done. */
  const advance = (status?: ItemStatus): void => {
    for (const [key, pieces] of waiting) {
      const isDone = !open || KIND_OF[open.key] !== undefined || open.writer.isWhole()
      if (!isDone && !status) return
      waiting.delete(key)
      begin(key, pieces, isDone ? 'completed' : (status ?? 'completed'))
    }
  }

  /** What belongs to what was said may come when that is closed. */
  const belongsBefore = (piece: Piece): boolean => {
    const last = piece.kind === 'extra' ? items.findLast(({ type }) => type === 'message') : undefined
    if (last && piece.kind === 'extra') last.extra_content = piece.extra
    return last !== undefined
  }

  return {
    take(piece) {
      const { key } = piece
      if (belongsBefore(piece) || closed.has(key)) return
      if (open?.key === key) open.writer.write(piece)
      else if (!waiting.get(key)?.push(piece)) waiting.set(key, [piece])
      advance()
    },
    finish(status) {
      advance(status)
      close(open?.writer.isWhole() && !KIND_OF[open.key] ? 'completed' : status)
    },
    settled: () => Promise.all(coming),
    items: () => items,
    keptItems: () =>
      items.map((item) => {
        const blocks = thoughts.get(item) ?? []
        return blocks.length > 0 ? { ...item, thinking_blocks: blocks } : item
      }),
  }
}

const kindOf = ({ isCustom }: CallPiece): string => (isCustom ? 'custom_tool_call' : 'function_call')
