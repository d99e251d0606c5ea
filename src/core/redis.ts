export type RedisArgument = string | number

/** A Lua script and the SHA-1 that Redis knows it by. */
export type RedisScript = { text: string; sha1: string }

/**
 * Fast shared state: admission, caches, counters. It may be lost at any time without losing money or a key.
 * Every method throws `DependencyError('redis')` when Redis does not answer within its short timeout.
 */
export type Redis = {
  /** One round trip when Redis knows the script, two otherwise. Replies are RESP2 shapes: numbers, strings, null, arrays. */
  run(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>
  /** Many commands in one round trip; a command that Redis refuses throws. */
  pipeline(commands: readonly (readonly [string, ...RedisArgument[]])[]): Promise<unknown[]>
}
