import { inject } from 'vitest'
import * as z from 'zod'
import type { LocalStores } from './setup/local-stack.ts'

/** The Postgres and the Redis of this worker: files that run at the same time share no store. */
export function storesHere(): LocalStores {
  const stores = inject('storesByWorker')[Number(process.env.VITEST_POOL_ID) - 1]
  if (stores === undefined) throw new Error(`There are no stores for worker ${process.env.VITEST_POOL_ID}.`)
  return stores
}

/** A command at the Redis behind the gateway. */
export async function redisCommand(...command: string[]): Promise<unknown> {
  const { redisUrl, redisToken } = storesHere()
  const headers = { authorization: `Bearer ${redisToken}` }
  const response = await fetch(redisUrl, { method: 'POST', headers, body: JSON.stringify(command) })
  return z.object({ result: z.unknown() }).parse(await response.json()).result
}

/** Forgets which targets are out: the file before this one may have had them fail, and all files name the same. */
export async function forgetTargets(): Promise<void> {
  const keys = z.array(z.string()).parse(await redisCommand('KEYS', 'tgt:*'))
  if (keys.length > 0) await redisCommand('DEL', ...keys)
}
