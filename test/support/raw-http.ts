import { connect } from 'node:net'

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
    // A server that refuses a body closes while we still write.
    socket.on('error', (error) => (chunks.length === 0 ? reject(error) : resolve(answerOf(chunks))))
    socket.on('end', () => resolve(answerOf(chunks)))
  })
}

function answerOf(chunks: readonly Buffer[]): RawAnswer {
  const text = Buffer.concat(chunks).toString('utf8')
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
  )
  return { status: Number(statusLine.split(' ')[1]), headers, text: text.slice(end + 4) }
}
