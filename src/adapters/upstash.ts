import type { Redis as Upstash } from '@upstash/redis/cloudflare'
import { DependencyError } from '../core/errors.ts'
import type { Redis, RedisCommand, RedisScript } from '../core/redis.ts'

/** Admission waits for Redis: an answer that takes longer than this is no answer. */
export const REDIS_TIMEOUT_MS = 500

/** `timeoutMs` is how long an answer may take: `REDIS_TIMEOUT_MS` unless said. */
export type UpstashOptions = { url: string; token: string; timeoutMs?: number | undefined }

/** The client, loaded by the first command: its class for each command of Redis is a fifth of a cold start. */
export type UpstashClient = () => Upstash | Promise<Upstash>

/** The client as both our Redis port and `@upstash/ratelimit` use it. */
export function createUpstash(options: UpstashOptions): UpstashClient {
  let client: Upstash | undefined
  const load = async (): Promise<Upstash> => {
    const { Redis } = await import('@upstash/redis/cloudflare')
    client ??= connect(Redis, options)
    return client
  }
  return () => client ?? load()
}

function connect(Client: typeof Upstash, { url, token, timeoutMs = REDIS_TIMEOUT_MS }: UpstashOptions): Upstash {
  return new Client({
    url,
    token,
    enableTelemetry: false,
    automaticDeserialization: false,
    // Our values are text: base64 would only cost time on both sides.
    responseEncoding: false,
    enableAutoPipelining: false,
    retry: false,
    signal: () => AbortSignal.timeout(timeoutMs),
  })
}

export function createRedis(clientOf: UpstashClient): Redis {
  const sha1Of = new WeakMap<RedisScript, string>()
  const learnSha = async (script: RedisScript): Promise<string> => {
    const sha = hexOf(await crypto.subtle.digest('SHA-1', new TextEncoder().encode(script.text)))
    sha1Of.set(script, sha)
    return sha
  }

  return {
    async run(script, keys, args) {
      const [allKeys, allArgs] = [[...keys], args.map(String)]
      const sha = sha1Of.get(script) ?? (await learnSha(script))
      const client = await clientOf()
      try {
        return await client.evalsha(sha, allKeys, allArgs)
      } catch (error) {
        if (!(isUpstashError(error) && error.message.includes('NOSCRIPT'))) throw asFailure(error)
      }
      return client.eval(script.text, allKeys, allArgs).catch((error: unknown) => {
        throw asFailure(error)
      })
    },

    async pipeline(commands) {
      const pipeline = (await clientOf()).pipeline()
      for (const command of commands) queue(pipeline, command)
      const replies = await pipeline.exec<unknown[]>().catch((error: unknown) => {
        throw asFailure(error)
      })
      return replies.map((reply, at) => (commands[at]?.[0] === 'HGETALL' ? fieldsOf(reply) : reply))
    },
  }
}

const hexOf = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Redis lists a hash as field, value, field, value; a hash that is not there is an empty list. */
function fieldsOf(reply: unknown): Record<string, string> | null {
  if (!Array.isArray(reply) || reply.length === 0) return null
  const fields: Record<string, string> = {}
  for (let at = 0; at + 1 < reply.length; at += 2) fields[String(reply[at])] = String(reply[at + 1])
  return fields
}

function queue(pipeline: ReturnType<Upstash['pipeline']>, command: RedisCommand): void {
  switch (command[0]) {
    case 'GET':
      pipeline.get(command[1])
      break
    case 'HVALS':
      pipeline.hvals(command[1])
      break
    case 'HGETALL':
      pipeline.hgetall(command[1])
      break
    case 'HLEN':
      pipeline.hlen(command[1])
      break
    case 'EXPIRE':
      pipeline.expire(command[1], command[2])
      break
    case 'INCRBY':
      pipeline.incrby(command[1], command[2])
      break
    case 'HINCRBY':
      pipeline.hincrby(command[1], command[2], command[3])
      break
    case 'HSET':
      pipeline.hset(command[1], command[2])
      break
    case 'HDEL':
      pipeline.hdel(command[1], ...command[2])
      break
    case 'SETPX':
      pipeline.set(command[1], command[2], { px: command[3] })
      break
    case 'EVAL':
      pipeline.eval(command[1], [...command[2]], command[3].map(String))
      break
  }
}

/** Redis' own words at the start of the client's message; behind them come the command and its arguments. */
const REFUSAL = /^(?:Command \d+ \[ \w+ \] failed: )?(?:ERR|WRONGTYPE|NOPERM)\b(.*)/
/** Upstash: "ERR max daily request limit exceeded". Nothing is wrong with the command. */
const EXHAUSTED = /^ max |^[^,]*(?:limit|quota) exceeded/

const isUpstashError = (error: unknown): error is Error => error instanceof Error && error.name === 'UpstashError'

/** The client quotes the whole command, and with it hashes of keys and what callers have named. */
const withoutCommand = (error: unknown): unknown =>
  isUpstashError(error) ? new Error(error.message.split(', command was:')[0]) : error

/** What Redis refuses is a fault of ours and stays what it is; the rest is Redis being away. */
function asFailure(error: unknown): unknown {
  const refusal = isUpstashError(error) ? REFUSAL.exec(error.message) : null
  if (!refusal || EXHAUSTED.test(refusal[1] ?? '')) return new DependencyError('redis', withoutCommand(error))
  return withoutCommand(error)
}
