import { createHash, timingSafeEqual } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Engine } from './engine.ts'
import { createSession, type Session } from './session.ts'
import { createTurns } from './turns.ts'
import { PostgresFailure } from './wire.ts'

/** Many client connections in front of the one backend of the embedded Postgres. */
export type Multiplexer = {
  /** A connection: the client's protocol bytes go in, the server's come out. */
  openSession(): Duplex
  /** Ends every session because the backend, and with it their state, is gone. */
  loseAll(reason: string): void
  /** Ends every session and waits until their work is rolled back. */
  close(): Promise<void>
}

export type MultiplexerOptions = {
  engine: Engine
  users: Readonly<Record<string, string>>
  idleInTransactionMs: number
  maxSessions: number
}

export function createMultiplexer(options: MultiplexerOptions): Multiplexer {
  const turns = createTurns<Session>()
  const sessions = new Set<Session>()
  let lastId = 0

  return {
    openSession() {
      lastId += 1
      const session = createSession({
        id: lastId,
        engine: options.engine,
        turns,
        idleInTransactionMs: options.idleInTransactionMs,
        isPassword: (user, password) => isPassword(options.users, user, password),
        onClosed: (closed) => sessions.delete(closed),
      })
      if (sessions.size >= options.maxSessions) {
        session.end(new PostgresFailure('53300', `too many connections: the limit is ${options.maxSessions}`))
      } else {
        sessions.add(session)
      }
      return session.stream
    },
    loseAll(reason) {
      for (const session of sessions) session.lose(new PostgresFailure('57P01', reason))
    },
    async close() {
      const shutdown = new PostgresFailure('57P01', 'the local Postgres is shutting down')
      await Promise.all([...sessions].map((session) => session.end(shutdown)))
    },
  }
}

/** Compares digests, so that neither the length nor the first wrong character shows in the time taken. */
function isPassword(users: Readonly<Record<string, string>>, user: string, password: string): boolean {
  const isKnown = Object.hasOwn(users, user)
  const expected = (isKnown ? users[user] : undefined) ?? ''
  return timingSafeEqual(digest(expected), digest(password)) && isKnown
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
