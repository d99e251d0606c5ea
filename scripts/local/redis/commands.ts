import { failure } from './failure.ts'

export type Argument = string | Buffer

/** One command as it goes to Redis: `name` in upper case. */
export type Command = { name: string; args: Argument[] }

const MAX_ARGUMENTS = 200_000
const MAX_BATCH = 50_000

/** Commands that wait for data would hold the one connection that every request shares. */
const BLOCKING = 'BLPOP BRPOP BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP BRPOPLPUSH WAIT WAITAOF'

/** Commands that change the state of the shared connection, so one caller would break all others. */
const CONNECTION =
  'MULTI EXEC DISCARD WATCH UNWATCH SELECT AUTH HELLO QUIT RESET CLIENT ASKING READONLY READWRITE ' +
  'SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC PSYNC REPLCONF'

/** Commands for the operator of a server, which a REST token must not reach. */
const ADMINISTRATION =
  'SHUTDOWN CONFIG DEBUG REPLICAOF SLAVEOF FAILOVER SAVE BGSAVE BGREWRITEAOF CLUSTER MODULE MIGRATE SWAPDB MOVE ' +
  'SLOWLOG LATENCY PFDEBUG PFSELFTEST RESTORE-ASKING'

const REFUSED = new Set(`${BLOCKING} ${CONNECTION} ${ADMINISTRATION}`.split(' '))

const READS = new Set(
  (
    'GET MGET GETRANGE SUBSTR STRLEN EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME KEYS SCAN DBSIZE RANDOMKEY HGET HMGET ' +
    'HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HRANDFIELD HSCAN HTTL HPTTL LRANGE LINDEX LLEN LPOS SMEMBERS SISMEMBER ' +
    'SMISMEMBER SCARD SRANDMEMBER SSCAN SINTER SUNION SDIFF SINTERCARD ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ' +
    'ZRANGEBYLEX ZREVRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZLEXCOUNT ZRANK ZREVRANK ZRANDMEMBER ZSCAN GETBIT BITCOUNT ' +
    'BITPOS BITFIELD_RO GEOPOS GEODIST GEOHASH GEOSEARCH PFCOUNT XRANGE XREVRANGE XLEN XREAD XINFO XPENDING PING ECHO ' +
    'TIME INFO COMMAND PUBLISH EVAL_RO EVALSHA_RO FCALL_RO SCRIPT OBJECT MEMORY'
  ).split(' '),
)

const SCRIPTED = new Set(['EVAL', 'EVAL_RO', 'EVALSHA', 'EVALSHA_RO', 'FCALL', 'FCALL_RO'])

/** Whether the command can change a key. Unknown commands count as writes. */
export function isWrite(command: Command): boolean {
  return !READS.has(command.name)
}

/** Whether the command runs Lua, which is the only thing that can run without end. */
export function isScripted(command: Command): boolean {
  return SCRIPTED.has(command.name)
}

/** Why this command is not available over REST, or undefined when it is. */
export function refusal(command: Command): string | undefined {
  const blocksOnStream =
    (command.name === 'XREAD' || command.name === 'XREADGROUP') &&
    command.args.some((argument) => argument.toString().toUpperCase() === 'BLOCK')
  const shown = blocksOnStream ? `${command.name} BLOCK` : command.name
  if (!blocksOnStream && !REFUSED.has(command.name)) return undefined
  return `ERR Command is not available: '${shown}'. It needs a connection of its own or administrator rights, and REST requests share one connection.`
}

/**
 * Reads `["SET","key","value",…]`. Numbers and booleans become their text, objects and arrays their JSON text.
 * @throws RequestFailure 400 when it is not a command
 */
export function parseCommand(value: unknown): Command {
  if (!Array.isArray(value)) throw failure(400, 'ERR a command must be a JSON array such as ["SET","key","value"]')
  if (value.length > MAX_ARGUMENTS) throw failure(400, `ERR a command may have at most ${MAX_ARGUMENTS} arguments`)
  const [name, ...rest]: unknown[] = value
  if (typeof name !== 'string' || name === '') throw failure(400, 'ERR a command must start with its name as a string')
  return { name: name.toUpperCase(), args: rest.map(argumentText) }
}

/** Reads the body of `/pipeline` and `/multi-exec`. @throws RequestFailure 400 */
export function parseBatch(value: unknown): Command[] {
  if (!Array.isArray(value)) throw failure(400, 'ERR the body must be a JSON array of commands')
  if (value.length > MAX_BATCH) throw failure(400, `ERR one request may have at most ${MAX_BATCH} commands`)
  return value.map(parseCommand)
}

/** @throws RequestFailure 400 when the body is not JSON */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw failure(400, 'ERR failed to parse the request body as JSON')
  }
}

function argumentText(value: unknown, index: number): string {
  if (typeof value === 'string') return value
  // JSON.stringify turns `undefined` into null, so a null argument is nearly always a mistake in the caller.
  if (value === null || value === undefined) throw failure(400, `ERR argument ${index + 1} of the command is null`)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
