import { sseEvent } from '../../http/sse.ts'
import { createJsonEnd, type JsonEnd } from '../completions/service.ts'

type Fields = Readonly<Record<string, unknown>> & { type: string }

/** A fragment of one block: `key` says of which, `block` is what it begins with. */
export type Fragment = { key: string; block: Fields; delta?: Fields | undefined; isTool?: boolean }

export type BlockWriter = {
  /** Takes a fragment and gives the events that can be written now. */
  add(fragment: Fragment): string
  /** Writes what has waited, and closes the last block. */
  finish(): string
}

type Waiting = Pick<Fragment, 'block' | 'isTool'> & { deltas: Fields[] }
type Open = { key: string; json: JsonEnd | undefined }

export const eventOf = (event: Fields): string => sseEvent(event.type, JSON.stringify(event))

/**
 * Writes blocks one behind the other, as Anthropic's stream has them, whatever the order of their fragments. A block
 * ends when another begins; only a tool's input that is not whole yet keeps the others waiting.
 */
export function createBlockWriter(): BlockWriter {
  const waiting = new Map<string, Waiting>()
  /** Calls of tools that are closed: whatever still comes of them is no part of their input. */
  const closed = new Set<string>()
  let open: Open | undefined
  let index = -1

  const write = (delta: Fields): string => {
    if (typeof delta.partial_json === 'string') open?.json?.push(delta.partial_json)
    return eventOf({ type: 'content_block_delta', index, delta })
  }

  const close = (): string => {
    if (!open) return ''
    if (open.json) closed.add(open.key)
    open = undefined
    return eventOf({ type: 'content_block_stop', index })
  }

  const begin = (key: string, { block, isTool, deltas }: Waiting): string => {
    const before = close()
    index += 1
    open = { key, json: isTool ? createJsonEnd() : undefined }
    const start = eventOf({ type: 'content_block_start', index, content_block: block })
    return before + start + deltas.map(write).join('')
  }

  /** Writes the blocks that wait, as far as those before them are done. */
  const advance = (all: boolean): string => {
    let text = ''
    for (const [key, next] of waiting) {
      if (!all && open?.json && !open.json.isWhole()) break
      waiting.delete(key)
      text += begin(key, next)
    }
    return text
  }

  return {
    add({ key, block, delta, isTool = false }) {
      if (open?.key === key) return (delta ? write(delta) : '') + advance(false)
      if (closed.has(key)) return ''
      const known = waiting.get(key)
      if (known) known.deltas.push(...(delta ? [delta] : []))
      else waiting.set(key, { block, isTool, deltas: delta ? [delta] : [] })
      return advance(false)
    },
    finish: () => advance(true) + close(),
  }
}
