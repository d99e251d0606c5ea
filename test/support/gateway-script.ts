import type { RedisArgument } from '../../src/core/redis.ts'

export type Hash = Map<string, string>

export const refuse = (text: string): never => {
  throw new Error(`ERR ${text}`)
}

export type Reader = ReturnType<typeof readerOf>

/** KEYS and ARGV in the order in which the script reads them. A key that is missing or left over is an error of ours. */
export function readerOf(keys: readonly string[], args: readonly string[]) {
  const [restKeys, restArgs] = [[...keys], [...args]]
  const arg = () => restArgs.shift() ?? refuse('the script was given too few arguments')
  return {
    key: () => restKeys.shift() || refuse('the script was given too few keys'),
    /** One of any number of keys; undefined after the last. */
    rest: () => restKeys.shift(),
    arg,
    number: () => {
      const value = Number(arg())
      return Number.isFinite(value) ? value : refuse('not a number')
    },
    isDone: () => restKeys.length + restArgs.length === 0,
    end: () => {
      if (restKeys.length + restArgs.length > 0) refuse('the script was given more than it reads')
    },
  }
}

export const argument = (value: RedisArgument): string =>
  typeof value === 'number' && !Number.isFinite(value) ? refuse('not a number') : String(value)
