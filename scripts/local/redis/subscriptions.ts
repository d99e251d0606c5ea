import type { ServerResponse } from 'node:http'
import type { Redis } from 'ioredis'
import { failure, withTimeLimit } from './failure.ts'

const MAX_SUBSCRIBERS = 200
/** A reader this far behind is dropped, as Redis drops slow subscribers. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024

export type Subscriptions = {
  /**
   * Answers with server-sent events: `subscribe,<channel>,<count>`, then `message,<channel>,<payload>`, or for patterns
   * `pmessage,<pattern>,<channel>,<payload>`.
   * @throws RequestFailure 400 without a channel, 503 with too many subscribers
   */
  open(response: ServerResponse, request: { patterns: boolean; channels: string[]; limitMs: number }): Promise<void>
  /** Ends all streams. */
  close(): void
}

/** Every stream has its own connection, since a subscribed connection takes no other commands. */
export function createSubscriptions(client: Redis): Subscriptions {
  const streams = new Set<ServerResponse>()
  return {
    async open(response, { patterns, channels, limitMs }) {
      if (channels.length === 0) throw failure(400, 'ERR no channel to subscribe to')
      if (streams.size >= MAX_SUBSCRIBERS) throw failure(503, 'ERR too many subscribers')
      streams.add(response)
      const connection = client.duplicate({ lazyConnect: true })
      connection.on('error', () => undefined)
      response.on('close', () => {
        streams.delete(response)
        // The embedded engine keeps the subscriptions of a connection that just goes away.
        withTimeLimit(connection.quit(), limitMs).catch(() => connection.disconnect())
      })
      const waiting: string[][] = []
      let started = false
      const send = (...parts: string[]) => {
        if (!started) return void waiting.push(parts)
        response.write(eventOf(parts.join(',')))
        if (response.writableLength > MAX_UNREAD_BYTES) response.destroy()
      }
      connection.on('message', (channel: string, payload: string) => send('message', channel, payload))
      connection.on('pmessage', (pattern: string, channel: string, payload: string) =>
        send('pmessage', pattern, channel, payload),
      )
      try {
        await withTimeLimit(connection.connect(), limitMs)
        await withTimeLimit(subscribe(connection, { patterns, channels, send }), limitMs)
      } catch (error) {
        streams.delete(response)
        connection.disconnect()
        throw error
      }
      // The headers go out once the subscription stands: whoever has them can publish and be heard.
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
      started = true
      for (const parts of waiting) send(...parts)
    },
    close() {
      for (const response of streams) response.end()
    },
  }
}

type Subscribing = { patterns: boolean; channels: string[]; send: (...parts: string[]) => void }

async function subscribe(connection: Redis, { patterns, channels, send }: Subscribing): Promise<void> {
  for (const channel of channels) {
    const count = patterns ? await connection.psubscribe(channel) : await connection.subscribe(channel)
    send(patterns ? 'psubscribe' : 'subscribe', channel, String(count))
  }
}

/** A line break ends a field of an event, so a payload with breaks is several `data:` lines (WHATWG HTML, 9.2). */
function eventOf(text: string): string {
  const lines = text.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`)
  return `${lines.join('')}\n`
}
