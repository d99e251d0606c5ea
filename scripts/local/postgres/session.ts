import { Duplex } from 'node:stream'
import type { Engine } from './engine.ts'
import { authenticationOk, createHandshake, parameterStatus } from './handshake.ts'
import { type Cycle, createCycleBuilder } from './session-cycle.ts'
import type { Turns } from './turns.ts'
import {
  backendMessages,
  createFrameReader,
  fatalResponse,
  finalStatus,
  frame,
  int32,
  PostgresFailure,
  simpleQuery,
} from './wire.ts'

/** One client connection to the embedded Postgres. */
export type Session = {
  readonly stream: Duplex
  /** Tells the client why and closes; resolves once open work is rolled back and the shared state is clean. */
  end(reason?: PostgresFailure): Promise<void>
  /** The same when the backend is gone and there is nothing to clean. */
  lose(reason: PostgresFailure): void
}

export type SessionOptions = {
  id: number
  engine: Engine
  turns: Turns<Session>
  idleInTransactionMs: number
  isPassword: (user: string, password: string) => boolean
  onClosed: (session: Session) => void
}

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
const HANDSHAKE_TIMEOUT_MS = 10_000
/** What a session may leave behind on the backend that it shares with the others. */
const CLEANUP = ['rollback', 'set session authorization postgres', 'close all', 'unlisten *', 'discard temp'].concat(
  'select pg_advisory_unlock_all()',
)

export function createSession(options: SessionOptions): Session {
  const { engine, turns } = options
  const reader = createFrameReader(MAX_MESSAGE_BYTES)
  const handshake = createHandshake(reader, send)
  const cycles = createCycleBuilder(options.id)
  const generation = engine.generation()
  let user: string | undefined
  /** A role chosen with SET ROLE; the backend forgets it between turns. */
  let chosenRole = 'none'
  let hasChangedSettings = false
  let mayHaveChangedRole = false
  let usedBackend = false
  let idleTimer: NodeJS.Timeout | undefined
  let closing: Promise<void> | undefined
  let work: Promise<void> = Promise.resolve()

  const stream = new Duplex({
    read() {},
    // The next bytes are asked for when these are dealt with, which bounds what a client can pile up.
    write(chunk: Buffer, _encoding, done) {
      reader.push(chunk)
      work = work.then(advance).catch(fail)
      work.then(() => done())
    },
    final(done) {
      close().then(() => done())
    },
    destroy(error, done) {
      close().then(() => done(error))
    },
  })
  const session: Session = {
    stream,
    end(reason) {
      return finish(reason)
    },
    lose(reason) {
      usedBackend = false
      void finish(reason)
    },
  }
  const handshakeTimer = setTimeout(
    () => void finish(new PostgresFailure('08006', 'the connection did not introduce itself in time')),
    HANDSHAKE_TIMEOUT_MS,
  )
  return session

  function send(bytes: Buffer): void {
    if (!stream.readableEnded && !stream.destroyed && !closing) stream.push(bytes)
  }

  function finish(reason?: PostgresFailure): Promise<void> {
    if (reason) send(fatalResponse(reason))
    const closed = close()
    if (!stream.destroyed) stream.push(null)
    return closed
  }

  function fail(error: unknown): void {
    const known = error instanceof PostgresFailure
    void finish(known ? error : new PostgresFailure('XX000', error instanceof Error ? error.message : String(error)))
  }

  async function advance(): Promise<void> {
    if (user === undefined && !introduce()) return
    for (let message = reader.message(); message && !closing; message = reader.message()) {
      if (message[0] === 0x58) return void finish()
      const cycle = cycles.add(message)
      if (cycle) await runCycle(cycle)
    }
  }

  function introduce(): boolean {
    const step = handshake()
    if (step.state === 'over') void finish()
    if (step.state !== 'introduced') return false
    clearTimeout(handshakeTimer)
    const { parameters, password } = step.introduction
    const name = parameters.get('user') ?? ''
    if (!options.isPassword(name, password)) {
      throw new PostgresFailure('28P01', `password authentication failed for user "${name}"`)
    }
    user = name
    const isSuperuser = name === 'postgres' ? 'on' : 'off'
    const reported = new Map([...engine.parameters, ['is_superuser', isSuperuser], ['session_authorization', name]])
    send(Buffer.concat([authenticationOk, parameterStatus(reported), frame('K', int32(options.id), int32(0)), idle]))
    return true
  }

  async function runCycle(cycle: Cycle): Promise<void> {
    clearTimeout(idleTimer)
    const continues = turns.isHeldBy(session)
    await turns.take(session).catch(() => undefined)
    // A replaced backend does not know this session any more; `lose` is about to end it.
    if (closing || engine.generation() !== generation) return turns.release(session)
    try {
      const before = continues ? undefined : simpleQuery(becomeUser(user ?? '', chosenRole))
      usedBackend = true
      const result = await engine.run({ before, cycle: cycle.bytes })
      if (result.refused) throw refusedRole(user ?? '', result.bytes)
      await afterCycle(result.bytes)
    } catch (error) {
      if (!(error instanceof PostgresFailure && error.code === '28000')) usedBackend = false
      turns.release(session)
      throw error
    }
  }

  async function afterCycle(answer: Buffer): Promise<void> {
    mayHaveChangedRole ||= changesSettings(answer)
    hasChangedSettings ||= mayHaveChangedRole
    const status = finalStatus(answer)
    if (status !== 'I') {
      idleTimer = setTimeout(() => void finish(idleTooLong(options.idleInTransactionMs)), options.idleInTransactionMs)
      return send(answer)
    }
    if (mayHaveChangedRole) chosenRole = await readRole(engine)
    mayHaveChangedRole = false
    turns.release(session)
    send(answer)
  }

  function close(): Promise<void> {
    closing ??= cleanUp()
    return closing
  }

  async function cleanUp(): Promise<void> {
    clearTimeout(handshakeTimer)
    clearTimeout(idleTimer)
    turns.cancel(session)
    // `closing` must be set before the work in progress looks at it.
    await Promise.resolve()
    await work.catch(() => undefined)
    clearTimeout(idleTimer)
    try {
      await cleanBackend()
    } finally {
      turns.release(session)
      options.onClosed(session)
    }
  }

  async function cleanBackend(): Promise<void> {
    if (!usedBackend || engine.generation() !== generation) return
    await turns.take(session)
    const reset = hasChangedSettings ? ['reset all'] : []
    const queries = [...CLEANUP, ...reset].map(simpleQuery)
    const sync = frame('S')
    await engine
      .run({ cycle: Buffer.concat([sync, ...queries, cycles.closeStatements(), sync]) })
      .catch(() => undefined)
  }
}

const idle = frame('Z', Buffer.from('I'))

/** With SET SESSION AUTHORIZATION (rather than SET ROLE) a later RESET ROLE does not lead back to the superuser. */
function becomeUser(user: string, role: string): string {
  const authorization = `set session authorization ${quoteName(user)}`
  return role === 'none' ? authorization : `${authorization}; set role ${quoteName(role)}`
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function refusedRole(user: string, answer: Buffer): PostgresFailure {
  const message = [...backendMessages(answer)].find(({ type }) => type === 'E')?.body.toString() ?? ''
  const reason =
    message
      .split('\0')
      .find((field) => field.startsWith('M'))
      ?.slice(1) ?? 'unknown reason'
  const isMissing = reason === `role "${user}" does not exist`
  const text = isMissing
    ? `${reason} in this database: the migrations that create the roles have not run yet`
    : `the session cannot act as "${user}": ${reason}`
  return new PostgresFailure('28000', text)
}

function idleTooLong(limitMs: number): PostgresFailure {
  return new PostgresFailure(
    '25P03',
    `terminating connection: its transaction was idle for more than ${limitMs} ms. The embedded Postgres has one ` +
      'backend, so everything else waits while a transaction is open: do not use the HTTP database inside an open ' +
      'transaction, run every query of the transaction on the transaction itself.',
  )
}

/** True when the answer holds a completed SET, RESET or DISCARD. */
function changesSettings(answer: Buffer): boolean {
  for (const { type, body } of backendMessages(answer)) {
    if (type === 'C' && /^(SET|RESET|DISCARD ALL)\0/.test(body.toString('latin1', 0, 12))) return true
  }
  return false
}

async function readRole(engine: Engine): Promise<string> {
  const { bytes } = await engine.run({ cycle: simpleQuery("select current_setting('role')") })
  const row = [...backendMessages(bytes)].find(({ type }) => type === 'D')
  // A DataRow with one column: a 16-bit count and a 32-bit length come before the text.
  return row ? row.body.subarray(6).toString() : 'none'
}
