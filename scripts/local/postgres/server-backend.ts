import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { openRelaySession } from './auth-relay.ts'
import type { Backend } from './backend.ts'

/** The address of a real Postgres; the one place that decides where connections go. */
export type Upstream = { host: string; port: number; database: string }

const CONNECT_TIMEOUT_MS = 10_000
const HEALTH_TIMEOUT_MS = 2_000

/**
 * Reads postgres://host:port/database; a user or password in it is ignored, clients bring their own.
 * @throws Error when the text is not such an address.
 */
export function parseUpstream(url: string, defaultDatabase: string): Upstream {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || !/^postgres(ql)?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new Error('The address of the Postgres server must look like postgres://host:port/database.')
  }
  return {
    host: parsed.hostname,
    port: Number(parsed.port || 5432),
    database: decodeURIComponent(parsed.pathname.slice(1)) || defaultDatabase,
  }
}

/** Fronts a running server. Users and passwords are the server's own. */
export function createServerBackend(upstream: Upstream, statementTimeoutMs: number): Backend {
  const sessions = new Set<Duplex>()
  return {
    kind: 'server',
    openSession() {
      const session = openRelaySession(upstream)
      sessions.add(session)
      return session.once('close', () => sessions.delete(session))
    },
    clientConfig: ({ user, password }) => ({
      ...upstream,
      user,
      // A function, because the driver replaces an empty password with one from the environment or a file.
      password: () => password,
      ssl: false,
      statement_timeout: statementTimeoutMs,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    }),
    isReady: () => isListening(connect(upstream.port, upstream.host)),
    async close() {
      for (const session of sessions) session.destroy()
    },
  }
}

function isListening(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
    socket.setTimeout(HEALTH_TIMEOUT_MS, () => settle(false))
  })
}
