import type { Duplex } from 'node:stream'
import type { ClientConfig } from 'pg'

/** Who a client says it is. */
export type Credentials = { user: string; password: string }

/** The Postgres behind the listeners: the embedded one or a server. */
export type Backend = {
  kind: 'embedded' | 'server'
  /** A connection: the client's protocol bytes (clear-text password) go in, the server's come out. */
  openSession(): Duplex
  /** How a driver in this process connects with these credentials. */
  clientConfig(credentials: Credentials): ClientConfig
  /** False while queries cannot be answered. */
  isReady(): Promise<boolean>
  close(): Promise<void>
}

/** Gives a session the socket methods that the `pg` driver calls on its stream. */
export function asSocket(session: Duplex): Duplex {
  const self = () => session
  const connect = () => {
    setImmediate(() => session.emit('connect'))
    return session
  }
  // The driver waits for `close`, which a duplex stream emits only when both directions are finished.
  session.once('end', () => session.destroy())
  return Object.assign(session, { connect, setNoDelay: self, setKeepAlive: self, ref: self, unref: self })
}
