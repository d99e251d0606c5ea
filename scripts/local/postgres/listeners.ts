import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Backend } from './backend.ts'
import { answerSql, type SqlEndpointOptions, sendJson } from './sql-endpoint.ts'

/** Something that accepts connections on 127.0.0.1. */
export type Listener = { port: number; close(): Promise<void> }

export type HttpListener = Listener & { requests(): { http: number; sockets: number } }

export type HttpListenerOptions = SqlEndpointOptions & { backend: Backend; port: number }

const LOOPBACK = '127.0.0.1'
const MAX_FRAME_BYTES = 64 * 1024 * 1024
const SOCKET_PATHS = new Set(['/v1', '/v2'])

/** `POST /sql`, `GET /health` and WebSockets on `/v1` and `/v2`; whatever address a client names is ignored. */
export async function listenHttp(options: HttpListenerOptions): Promise<HttpListener> {
  const { backend } = options
  const served = { http: 0, sockets: 0 }
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES })
  const server = createHttpServer((request, response) => {
    const route = `${request.method} ${pathOf(request)}`
    if (route === 'POST /sql') {
      served.http += 1
      void answerSql(request, response, options)
    } else if (route === 'GET /health') {
      void backend.isReady().then((isReady) => {
        const body = JSON.stringify({ status: isReady ? 'ok' : 'unavailable', postgres: backend.kind })
        sendJson(response, { status: isReady ? 200 : 503, body, headers: {} })
      })
    } else {
      sendJson(response, { status: 404, body: JSON.stringify({ message: `there is no ${route} here` }), headers: {} })
    }
  })
  server.on('upgrade', (request, socket, head) => {
    if (!SOCKET_PATHS.has(pathOf(request)))
      return void socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      served.sockets += 1
      joinWebSocket(webSocket, backend.openSession())
    })
  })
  const port = await listen(server, options.port)
  return {
    port,
    requests: () => ({ ...served }),
    async close() {
      for (const webSocket of sockets.clients) webSocket.terminate()
      server.closeAllConnections()
      await closeServer(server)
    },
  }
}

/** Plain Postgres connections, for psql and migration tools. */
export async function listenTcp(backend: Backend, requestedPort: number): Promise<Listener> {
  const open = new Set<Socket>()
  const server = createTcpServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    joinSocket(socket, backend.openSession())
  })
  const port = await listen(server, requestedPort)
  return {
    port,
    async close() {
      for (const socket of open) socket.destroy()
      await closeServer(server)
    },
  }
}

function joinWebSocket(webSocket: WebSocket, session: Duplex): void {
  webSocket.on('message', (data: RawData) => {
    if (!session.writableEnded && !session.write(asBuffer(data))) webSocket.pause()
  })
  session.on('drain', () => webSocket.resume())
  session.on('data', (bytes: Buffer) => webSocket.send(bytes))
  session.on('end', () => webSocket.close())
  session.on('close', () => webSocket.close())
  session.on('error', () => webSocket.terminate())
  webSocket.on('error', () => session.destroy())
  webSocket.on('close', () => session.destroy())
}

function joinSocket(socket: Socket, session: Duplex): void {
  socket.pipe(session)
  session.pipe(socket)
  session.on('close', () => socket.destroySoon())
  session.on('error', () => socket.destroy())
  socket.on('error', () => session.destroy())
  socket.on('close', () => session.destroy())
}

function asBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data)
  return data instanceof ArrayBuffer ? Buffer.from(data) : data
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?')[0] ?? '/'
}

function listen(server: HttpServer | TcpServer, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE'
      reject(
        inUse ? new Error(`Port ${port} on ${LOOPBACK} is in use by another program: choose another port.`) : error,
      )
    }
    server.once('error', onError)
    server.listen(port, LOOPBACK, () => {
      server.off('error', onError)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

function closeServer(server: HttpServer | TcpServer): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
