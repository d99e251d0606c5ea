import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { ScriptedReply } from './types.ts'

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
  response.end(text)
}

export function sendEmpty(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0 })
  response.end()
}

/** A body written piece by piece; headers go out with the first byte. */
export type ResponseBody = {
  /** Resolves when the client's side can take more. */
  write(text: string | Uint8Array): Promise<void>
  end(): void
  /** Drops the connection without an end, once everything written is out. */
  cut(): Promise<void>
  started(): boolean
  closed(): boolean
}

export function openBody(
  response: ServerResponse,
  contentType: string,
  script: ScriptedReply | undefined,
): ResponseBody {
  const limit = script?.cutAfter && 'bytes' in script.cutAfter ? script.cutAfter.bytes : Number.POSITIVE_INFINITY
  let written = 0
  let closed = false
  let flushed: Promise<void> = Promise.resolve()
  const start = () => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': contentType })
  }
  const push = (bytes: Uint8Array) => {
    let roomLeft = true
    // The callback also comes, with an error, when the client is gone.
    flushed = new Promise((resolve) => {
      roomLeft = response.write(bytes, () => resolve())
    })
    return roomLeft
  }
  const cut = async () => {
    closed = true
    // Destroying before the kernel has the bytes would lose them.
    await flushed
    response.destroy()
  }
  return {
    async write(text) {
      start()
      const bytes = typeof text === 'string' ? Buffer.from(text) : text
      const allowed = bytes.subarray(0, Math.max(0, limit - written))
      written += allowed.length
      const roomLeft = push(allowed)
      if (allowed.length < bytes.length) await cut()
      else if (!roomLeft && !response.destroyed) await Promise.race([once(response, 'drain'), once(response, 'close')])
    },
    end() {
      if (closed) return
      closed = true
      start()
      response.end()
    },
    cut,
    started: () => response.headersSent,
    closed: () => closed,
  }
}
