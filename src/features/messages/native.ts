import type { NativeEvent } from '../../core/models.ts'
import { eventOf } from './blocks.ts'

/** Watches a vendor's own events pass, to know what is missing if they end before their time. */
export type NativeFollower = {
  take(event: NativeEvent): NativeEvent
  /** The end of the block that is open; undefined where the message has ended by itself. */
  close(): string | undefined
  hasTools(): boolean
}

type Said = { index?: number; content_block?: { type?: string } }

export function createNativeFollower(): NativeFollower {
  let open: number | undefined
  let hasTools = false
  let hasEnded = false

  return {
    take(event) {
      if (event.event === 'content_block_start') {
        const { index, content_block: block }: Said = JSON.parse(event.data)
        open = index
        hasTools ||= block?.type === 'tool_use'
      } else if (event.event === 'content_block_stop') open = undefined
      else if (event.event === 'message_delta' || event.event === 'message_stop') hasEnded = true
      return event
    },
    close() {
      if (hasEnded) return undefined
      return open === undefined ? '' : eventOf({ type: 'content_block_stop', index: open })
    },
    hasTools: () => hasTools,
  }
}
