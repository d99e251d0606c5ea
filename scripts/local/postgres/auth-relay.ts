import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { Client, type ClientConfig, DatabaseError } from 'pg'
import { authenticationOk, createHandshake, type Introduction } from './handshake.ts'
import type { Upstream } from './server-backend.ts'
import { backendMessages, createFrameReader, fatalResponse, frame, PostgresFailure } from './wire.ts'

const HANDSHAKE_LIMIT_BYTES = 64 * 1024 * 1024
const CONNECT_TIMEOUT_MS = 10_000
/** What a client needs from the server's own greeting: its settings, the cancel key, and that it is ready. */
const GREETING_TYPES = new Set(['S', 'K', 'Z'])

/**
 * A connection to a real Postgres: takes the password from the client in clear text, performs whatever login the
 * server asks for (usually SCRAM), and passes bytes from then on. This keeps drivers that send their password
 * without waiting working, and spares them the costly key derivation.
 */
export function openRelaySession(upstream: Upstream): Duplex {
  const reader = createFrameReader(HANDSHAKE_LIMIT_BYTES)
  const handshake = createHandshake(reader, (bytes) => relay.push(bytes))
  let server: Socket | undefined
  let isRelaying = false
  let opening: Promise<void> | undefined

  const relay = new Duplex({
    read() {
      if (isRelaying) server?.resume()
    },
    write(chunk: Buffer, _encoding, done) {
      if (isRelaying && server) {
        server.write(chunk, () => done())
        return
      }
      reader.push(chunk)
      try {
        introduce()
      } catch (error) {
        refuse(error)
      }
      done()
    },
    final(done) {
      server?.end()
      done()
    },
    destroy(error, done) {
      clearTimeout(deadline)
      server?.destroy()
      done(error)
    },
  })
  const deadline = setTimeout(
    () => refuse(new PostgresFailure('08006', `the connection was not open within ${CONNECT_TIMEOUT_MS} ms`)),
    CONNECT_TIMEOUT_MS,
  )
  return relay

  function introduce(): void {
    if (opening) return
    const step = handshake()
    if (step.state === 'over') relay.push(null)
    if (step.state === 'introduced') opening = open(step.introduction).catch(refuse)
  }

  async function open(introduction: Introduction): Promise<void> {
    server = new Socket()
    const greeting = await logIn(server, clientConfig(upstream, introduction))
    clearTimeout(deadline)
    if (relay.destroyed) return
    splice(server, relay)
    relay.push(Buffer.concat([authenticationOk, greeting]))
    isRelaying = true
    server.write(reader.rest())
  }

  function refuse(error: unknown): void {
    clearTimeout(deadline)
    server?.destroy()
    if (relay.destroyed || relay.readableEnded) return
    relay.push(fatalResponse(asFailure(error)))
    relay.push(null)
  }
}

function clientConfig(upstream: Upstream, { parameters, password }: Introduction): ClientConfig {
  const optional = ['application_name', 'fallback_application_name', 'options', 'client_encoding'] as const
  const passedOn = optional.flatMap((name) => {
    const value = parameters.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  // Only who it is comes from the client: where it goes is fixed.
  const user = parameters.get('user') ?? ''
  // A function, because the driver replaces an empty password with one from the environment or a file.
  return { ...Object.fromEntries(passedOn), ...upstream, user, password: () => password, ssl: false }
}

/** Lets the driver open the socket and log in, then takes the socket back; returns the server's greeting. */
async function logIn(socket: Socket, config: ClientConfig): Promise<Buffer> {
  const seen: Buffer[] = []
  const client = new Client({ ...config, stream: () => socket })
  client.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => seen.push(chunk))
  await client.connect()
  // The driver's listeners, and nothing else: the socket has listeners of its own for the end of the stream.
  for (const event of ['data', 'error', 'close', 'connect']) socket.removeAllListeners(event)
  const kept = [...backendMessages(Buffer.concat(seen))].filter(({ type }) => GREETING_TYPES.has(type))
  return Buffer.concat(kept.map(({ type, body }) => frame(type, body)))
}

function splice(server: Socket, relay: Duplex): void {
  server.on('data', (chunk: Buffer) => {
    if (!relay.push(chunk)) server.pause()
  })
  server.on('end', () => relay.push(null))
  server.on('error', (error) => relay.destroy(error))
  server.on('close', () => relay.destroy())
}

function asFailure(error: unknown): { code: string; message: string } {
  if (error instanceof DatabaseError) return { code: error.code ?? '08006', message: error.message }
  if (error instanceof PostgresFailure) return error
  const reason = error instanceof Error ? error.message : String(error)
  return { code: '08006', message: `the Postgres server cannot be reached: ${reason}` }
}
