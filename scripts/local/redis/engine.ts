import { Redis } from 'ioredis'
import { createIoredisMock } from 'js-redis-server'
import { isScripted } from './commands.ts'
import { failure, isReplyError, withTimeLimit } from './failure.ts'
import {
  createScriptRewriter,
  type PreparedCommand,
  rewriteForEmbedded,
  rewriteForServer,
  type ScriptRewriter,
} from './scripts.ts'

export type Outcome = { result: unknown } | { error: string }

/** A Redis behind the REST protocol. Replies keep RESP2 shapes, with strings as bytes. */
export type Engine = ScriptRewriter & {
  kind: 'embedded' | 'upstream'
  client: Redis
  /** Called when scripts outlived their time limit. */
  stopScripts(): void
  close(): Promise<void>
}

type Log = (message: string) => void

/** The engine in this process: no port, no files, gone with the process. */
export async function openEmbedded(log: Log): Promise<Engine> {
  const client = await createIoredisMock()
  if (!(client instanceof Redis)) throw new Error('the embedded Redis engine gave a cluster client')
  client.on('error', (error) => log(`redis: ${error.message}`))
  await client.ping()
  return {
    kind: 'embedded',
    client,
    prepare: createScriptRewriter(rewriteForEmbedded).prepare,
    // The engine counts a script's instructions and stops it by itself; nothing else runs until then.
    stopScripts: () => {},
    close: async () => {
      await client.quit().catch(() => undefined)
    },
  }
}

/**
 * A Redis or Valkey server over TCP.
 * @throws Error when the URL has another scheme or the server cannot be reached; the message never has the password
 */
export async function openUpstream(url: string, commandTimeoutMs: number, log: Log): Promise<Engine> {
  if (!/^rediss?:\/\//.test(url))
    throw new Error(`a Redis URL starts with redis:// or rediss://: ${withoutPassword(url)}`)
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 1,
    // Sending a command again after a lost connection could count something twice.
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
  })
  let lastProblem = ''
  client.on('error', (error) => {
    if (error.message !== lastProblem) log(`redis: ${error.message}`)
    lastProblem = error.message
  })
  client.on('ready', () => {
    lastProblem = ''
  })
  try {
    await withTimeLimit(client.connect(), commandTimeoutMs)
  } catch (error) {
    client.disconnect()
    const reason = lastProblem || (error instanceof Error ? error.message : String(error))
    throw new Error(`no Redis at ${withoutPassword(url)}: ${reason}`)
  }
  return {
    kind: 'upstream',
    client,
    prepare: createScriptRewriter(rewriteForServer).prepare,
    stopScripts: scriptStopper(client, log),
    close: async () => {
      await withTimeLimit(client.quit(), 1_000).catch(() => client.disconnect())
    },
  }
}

/** Runs one command within the time limit. @throws ReplyError, or RequestFailure 503 or 504 */
export async function runOne(engine: Engine, command: PreparedCommand, limitMs: number): Promise<unknown> {
  const work = Promise.resolve(engine.client.callBuffer(command.name, command.args)).catch(throwUnreachable)
  const reply = await withTimeLimit(work, limitMs, () => isScripted(command) && engine.stopScripts())
  return command.mapReply ? command.mapReply(reply) : reply
}

/**
 * Runs commands in order, all within one time limit; a failing one does not stop the others. With `atomic` nothing else
 * runs in between, and a command that Redis refuses to queue discards all.
 * @throws ReplyError EXECABORT, or RequestFailure 503 or 504
 */
export async function runMany(
  engine: Engine,
  commands: readonly PreparedCommand[],
  options: { atomic: boolean; limitMs: number },
): Promise<Outcome[]> {
  const batch = options.atomic ? engine.client.multi() : engine.client.pipeline()
  for (const command of commands) batch.callBuffer(command.name, command.args)
  const stop = () => commands.some(isScripted) && engine.stopScripts()
  const replies = await withTimeLimit(batch.exec().catch(throwUnreachable), options.limitMs, stop)
  if (!replies) throw failure(400, 'EXECABORT Transaction discarded')
  return replies.map(([error, reply], index): Outcome => {
    if (error) return isReplyError(error) ? { error: error.message } : throwUnreachable(error)
    const mapReply = commands[index]?.mapReply
    return { result: mapReply ? mapReply(reply) : reply }
  })
}

/** Any error of ioredis but a reply is about the connection. */
function throwUnreachable(error: unknown): never {
  if (isReplyError(error)) throw error
  throw failure(503, `ERR Redis is not reachable: ${error instanceof Error ? error.message : String(error)}`)
}

/**
 * SCRIPT KILL goes over a connection of its own, since the shared one waits behind the script. A server hears it once the
 * script has run for its `busy-reply-threshold` (5 s unless configured).
 */
function scriptStopper(client: Redis, log: Log): () => void {
  let stopping = false
  return () => {
    if (stopping) return
    stopping = true
    // A server busy with a script refuses INFO and SELECT, which ioredis would send first.
    const control = client.duplicate({ lazyConnect: true, enableReadyCheck: false, db: 0, retryStrategy: () => null })
    control.on('error', () => undefined)
    const kill = control.connect().then(() => control.call('SCRIPT', 'KILL'))
    withTimeLimit(kill, 15_000)
      .then(() => log('redis: stopped a script that ran longer than the time limit'))
      .catch((error: Error) => {
        if (!error.message.startsWith('NOTBUSY')) log(`redis: could not stop a script: ${error.message}`)
      })
      .finally(() => {
        stopping = false
        control.disconnect()
      })
  }
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/.*@/, '//')
}
