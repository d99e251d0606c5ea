import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Argument, Command } from './commands.ts'
import { failure } from './failure.ts'

/** How much of a refused body is still read, so that the client sees the answer and not a broken connection. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024

/** The parts of a request line; the path is kept as bytes, since keys and values can be any bytes. */
export type Target = { segments: Buffer[]; query: URLSearchParams }

/** Splits by hand: the URL class would resolve `.` and `..`, which are good keys. */
export function parseTarget(url: string): Target {
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1))
  return { segments: path.split('/').filter(Boolean).map(percentDecode), query }
}

/**
 * Reads `/set/key/value?EX=100`: the body, when there is one, is the last argument before the query's options.
 * @throws RequestFailure 400
 */
export function pathCommand(target: Target, body: Buffer): Command {
  const [name, ...args]: Buffer[] = target.segments
  if (name === undefined) throw failure(400, 'ERR empty command')
  const all: Argument[] = body.length > 0 ? [...args, body] : args
  const options = [...target.query].filter(([option]) => option !== '_token')
  return {
    name: name.toString().toUpperCase(),
    args: [...all, ...options.flatMap(([option, value]) => (value === '' ? [option] : [option, value]))],
  }
}

/** A check of `Authorization: Bearer <token>` or `?_token=<token>` whose time says nothing about the token. */
export function createTokenCheck(token: string): (request: IncomingMessage, query: URLSearchParams) => boolean {
  const expected = digest(token)
  return (request, query) => {
    const header = request.headers.authorization
    const given = header === undefined ? (query.get('_token') ?? '') : header.replace(/^Bearer +/i, '')
    return timingSafeEqual(digest(given), expected)
  }
}

/** @throws RequestFailure 413 when the body is larger than `maxBytes` */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of request) {
    total += chunk.length
    if (total <= maxBytes) chunks.push(chunk)
    else if (total > maxBytes + MAX_DISCARDED_BYTES) break
    else chunks.length = 0
  }
  if (total > maxBytes) throw failure(413, `ERR max request size exceeded: the limit is ${maxBytes} bytes`)
  return Buffer.concat(chunks)
}

function percentDecode(segment: string): Buffer {
  const parts = segment.split(/(%[0-9a-f]{2})/i)
  return Buffer.concat(
    parts.map((part, index) => (index % 2 === 1 ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part))),
  )
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
