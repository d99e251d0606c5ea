import { httpFailure } from './failures.ts'
import type { JsonObject } from './types.ts'

export type GenerationOptions = { numPredict: number | undefined; stop: readonly string[]; contextLength: number }

export const defaultContextLength = 4096

const integers = ['num_keep', 'seed', 'num_predict', 'top_k', 'repeat_last_n', 'num_ctx', 'num_batch', 'num_gpu']
const floats = ['temperature', 'top_p', 'min_p', 'typical_p', 'repeat_penalty', 'presence_penalty', 'frequency_penalty']

/** Checks the types the real server checks (a wrong one is a 500 there) and picks what the node honours. */
export function readOptions(options: JsonObject | null | undefined): GenerationOptions {
  const given = options ?? {}
  for (const name of integers) requireType(given, name, 'integer', Number.isFinite(given[name]))
  for (const name of floats) requireType(given, name, 'float32', typeof given[name] === 'number')
  requireType(given, 'stop', 'array', Array.isArray(given.stop))
  const integer = (name: string) => (typeof given[name] === 'number' ? Math.trunc(given[name]) : 0)
  const stop = Array.isArray(given.stop) ? given.stop : []
  if (!stop.every((entry) => typeof entry === 'string')) {
    throw httpFailure(500, 'option "stop" must be of an array of strings')
  }
  const numPredict = integer('num_predict')
  const contextLength = integer('num_ctx')
  return {
    numPredict: numPredict > 0 ? numPredict : undefined,
    stop,
    contextLength: contextLength > 0 ? contextLength : defaultContextLength,
  }
}

function requireType(given: JsonObject, name: string, type: string, holds: boolean): void {
  if (given[name] === undefined || given[name] === null || holds) return
  throw httpFailure(500, `option "${name}" must be of type ${type}`)
}
