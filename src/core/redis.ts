export type RedisArgument = string | number

/** The commands that this program sends outside its scripts. */
export type RedisCommand =
  | readonly ['GET' | 'HVALS' | 'HGETALL' | 'HLEN', key: string]
  | readonly ['EXPIRE' | 'INCRBY', key: string, amount: number]
  | readonly ['HINCRBY', key: string, field: string, amount: number]
  | readonly ['HSET', key: string, fields: Readonly<Record<string, string>>]
  | readonly ['HDEL', key: string, fields: readonly string[]]
  | readonly ['SETPX', key: string, value: string, ttlMs: number]
  /** A script in full, for one that is not sent often. */
  | readonly ['EVAL', script: string, keys: readonly string[], args: readonly RedisArgument[]]

/** A Lua script, made once and kept: an adapter remembers its SHA-1 by the object. */
export type RedisScript = { text: string }

/**
 * Fast shared state: admission, caches, counters. It may be lost at any time without losing money or a key.
 * Every method throws `DependencyError('redis')` when Redis does not answer within its short timeout.
 */
export type Redis = {
  /** One round trip when Redis knows the script, two otherwise. Replies are RESP2 shapes: numbers, strings, null, arrays. */
  run(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>
  /** Many commands in one round trip; a command that Redis refuses throws. HGETALL answers an object or null. */
  pipeline(commands: readonly RedisCommand[]): Promise<unknown[]>
}
