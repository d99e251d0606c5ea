import { request } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'

export type RawAnswer = { status: number; headers: Headers; text: string }

/**
 * Sends bytes as they are and reads one answer: for requests that no HTTP client would make. The request must ask for
 * `connection: close`, or the server must close by itself.
 */
export function sendRaw(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(answerOf(Buffer.concat(chunks).toString('utf8'))))
  })
}

function answerOf(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = new Headers()
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return { status: Number(statusLine.split(' ')[1]), headers, text: text.slice(end + 4) }
}

/**
 * A POST over a connection of its own: a server that refuses a body may close its connection at any time after, and
 * the next request of a pool would die on it. Chunked unless `content-length` is among the headers.
 */
export function postAlone(
  url: string,
  chunks: readonly (string | Uint8Array)[],
  headers: Record<string, string>,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent: false, headers }, (incoming) => {
      const parts: Buffer[] = []
      incoming.on('data', (part) => parts.push(part))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const type = incoming.headers['content-type'] ?? ''
        const init = { status: incoming.statusCode ?? 0, headers: { 'content-type': type } }
        resolve(new Response(Buffer.concat(parts), init))
      })
    })
    // After the answer has begun, what becomes of the rest of the body is of no interest.
    outgoing.on('error', reject)
    Readable.from(chunks).pipe(outgoing)
  })
}
