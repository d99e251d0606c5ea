import type { NativeEvent } from '../../core/models.ts'
import { eventOf } from './blocks.ts'

/** Watches a vendor's own events pass, to know what is missing if they end before their time. */
export type NativeFollower = {
  /** The event, with its name. */
  take(event: NativeEvent): NativeEvent
  /** The end of the block that is open, if one is. */
  closeBlock(): string
  /** How far the message has come: its content, its reason and counts, or its very end. */
  reached(): 'content' | 'reason' | 'end'
  hasTools(): boolean
}

type Said = { type?: string; index?: number; content_block?: { type?: string } }

export function createNativeFollower(): NativeFollower {
  let open: number | undefined
  let hasTools = false
  let reached: 'content' | 'reason' | 'end' = 'content'

  return {
    take({ event: name, data }) {
      const isBlock = name === 'content_block_start'
      const said: Said = isBlock || name === '' ? JSON.parse(data) : {}
      const event = name || (said.type ?? '')
      if (event === 'content_block_start') {
        open = said.index
        hasTools ||= said.content_block?.type === 'tool_use'
      } else if (event === 'content_block_stop') open = undefined
      else if (event === 'message_delta') reached = 'reason'
      else if (event === 'message_stop') reached = 'end'
      return { event, data }
    },
    closeBlock: () => (open === undefined ? '' : eventOf({ type: 'content_block_stop', index: open })),
    reached: () => reached,
    hasTools: () => hasTools,
  }
}
