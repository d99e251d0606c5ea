import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** `pass` forwards, `refuse` breaks the connection, `hang` never answers, a number waits that many ms and forwards. */
export type FaultMode = 'pass' | 'refuse' | 'hang' | number

export type FaultProxy = {
  url: string
  /** HTTP requests that came in, whatever became of them. */
  requests(): number
  mode(mode: FaultMode): void
  close(): Promise<void>
}

/** What goes on instead of a request's body. */
export type Rewrite = (body: string) => string

/** An HTTP proxy on loopback that counts what passes, can play dead, and may put other words into a request. */
export async function startFaultProxy(target: string, rewrite?: Rewrite): Promise<FaultProxy> {
  let count = 0
  let mode: FaultMode = 'pass'
  const { hostname, port } = new URL(target)

  const forward = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const upstream = request(
      { hostname, port, path: incoming.url, method: incoming.method, headers: incoming.headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      },
    )
    upstream.on('error', () => outgoing.destroy())
    if (rewrite) sendRewritten(incoming, upstream, rewrite)
    else incoming.pipe(upstream)
  }

  const server = createServer((incoming, outgoing) => {
    count += 1
    if (mode === 'refuse') incoming.socket.destroy()
    else if (mode === 'pass') forward(incoming, outgoing)
    else if (typeof mode === 'number') setTimeout(() => forward(incoming, outgoing), mode)
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests: () => count,
    mode: (next) => {
      mode = next
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function sendRewritten(incoming: IncomingMessage, upstream: ClientRequest, rewrite: Rewrite): Promise<void> {
  try {
    const body = rewrite(await text(incoming))
    upstream.removeHeader('transfer-encoding')
    upstream.setHeader('content-length', Buffer.byteLength(body))
    upstream.end(body)
  } catch (error) {
    upstream.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}
